package devserver

import "golang.org/x/sys/unix"

// confine has the calling thread, and what it starts from here on, run on these
// processors only.
func confine(processors []int) error {
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	return unix.SchedSetaffinity(0, &set)
}
