package devserver

import "syscall"

// dieWithParent makes the kernel kill the child when its parent dies, in case that
// the child is too stuck to notice the end of its standard input.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
