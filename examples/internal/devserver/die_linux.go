package devserver

import "syscall"

// dieWithParent makes the kernel kill the child when its parent dies. The
// kernel's signal helps if the child is stuck and does not notice the end of
// its standard input.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
