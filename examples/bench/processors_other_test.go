//go:build !linux

package bench

// leaveHalf is known on Linux only. Elsewhere server and callers share all
// processors, and the server uses no more than half of them at once.
func leaveHalf() (others []int, err error) { return nil, nil }
