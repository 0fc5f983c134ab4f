//go:build !linux

package devserver

import "syscall"

// dieWithParent does nothing here: the child ends when its standard input ends.
func dieWithParent() *syscall.SysProcAttr {
	return nil
}
