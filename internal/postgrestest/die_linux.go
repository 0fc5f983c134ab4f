package postgrestest

import "syscall"

// dieWithParent has the kernel end the server when the tests are killed.
// SIGQUIT, not SIGKILL: the server's own processes end with it.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
