package postgrestest

import "syscall"

// dieWithParent makes the kernel end the server when the test process is killed.
// The signal is SIGQUIT, not SIGKILL, so that the server's own processes end too.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
