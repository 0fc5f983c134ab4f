//go:build !unix

package devserver

import "syscall"

func apart() *syscall.SysProcAttr { return nil }
