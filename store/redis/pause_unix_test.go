//go:build unix

package redis_test

import (
	"syscall"
	"testing"
)

// pause stops the replica's process, and returns a function that lets it
// continue.
func (p pair) pause(t *testing.T) (resume func()) {
	t.Helper()
	if err := p.replica.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume = func() { p.replica.cmd.Process.Signal(syscall.SIGCONT) }
	t.Cleanup(resume)
	return resume
}
