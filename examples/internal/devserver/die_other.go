//go:build !linux

package devserver

import "syscall"

// dieWithParent adds nothing here: the child ends when its standard input does.
func dieWithParent() *syscall.SysProcAttr {
	return nil
}
