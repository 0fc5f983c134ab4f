//go:build !linux

package bench

// leaveHalf works only on Linux. On other systems, server and callers share all
// processors, and the server uses at most half of them at once.
func leaveHalf() (others []int, err error) { return nil, nil }
