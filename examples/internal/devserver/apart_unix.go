//go:build unix

package devserver

import "syscall"

// apart starts a process in a group of its own, which Ctrl-C does not reach.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
