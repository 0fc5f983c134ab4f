package devserver

import "golang.org/x/sys/unix"

// confine runs the calling thread, and all that it starts from now on, on these
// processors only.
func confine(processors []int) error {
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	return unix.SchedSetaffinity(0, &set)
}
