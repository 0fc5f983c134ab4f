package devserver

import "golang.org/x/sys/unix"

// confine restricts the calling thread, and everything that it starts from now
// on, to these processors.
func confine(processors []int) error {
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	return unix.SchedSetaffinity(0, &set)
}
