//go:build !unix

package postgrestest

import "syscall"

// runAs changes nothing here: unprivileged returns nil.
func runAs(*syscall.SysProcAttr, *account) {}
