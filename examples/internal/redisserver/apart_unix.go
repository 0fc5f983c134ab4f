//go:build unix

package redisserver

import "syscall"

// apart protects a program from Ctrl-C. The parent gets the signal too, and
// stops everything in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
