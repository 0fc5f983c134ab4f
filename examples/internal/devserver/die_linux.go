package devserver

import "syscall"

// dieWithParent has the kernel kill the child when its parent dies, should the
// child be too stuck to see that its standard input has ended.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
