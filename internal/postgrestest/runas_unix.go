//go:build unix

package postgrestest

import "syscall"

// runAs makes attr run a program as a user. A nil user changes nothing.
func runAs(attr *syscall.SysProcAttr, a *account) {
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}
