//go:build unix

package redisserver

import "syscall"

// apart keeps a Ctrl-C from a program that would end by it: the parent gets it
// too, and ends all in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
