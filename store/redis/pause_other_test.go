//go:build !unix

package redis_test

import "testing"

func (pair) pause(t *testing.T) (resume func()) {
	t.Skip("a replica is paused by signals, which only Unix has")
	return nil
}
