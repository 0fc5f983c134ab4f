//go:build !linux

package postgrestest

import "syscall"

// dieWithParent does nothing here: if the test process is killed, the server
// continues.
func dieWithParent(*syscall.SysProcAttr) {}
