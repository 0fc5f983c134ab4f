package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// theServers is an environment variable with the numbers of the server's
// processors, for a process that has left them to the server.
const theServers = "LATCHKEY_BENCH_SERVER_PROCESSORS"

// leaveHalf restricts this process, and the processes it starts, to half of the
// processors, and returns the others. A running thread can restrict only itself
// and the threads that it starts, so the program starts again.
func leaveHalf() (others []int, err error) {
	if left, ok := os.LookupEnv(theServers); ok {
		for number := range strings.FieldsSeq(left) {
			n, err := strconv.Atoi(number)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", theServers, err)
			}
			others = append(others, n)
		}
		return others, nil
	}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, err
	}
	half := all.Count() / 2
	for n := 0; len(others) < half; n++ {
		if all.IsSet(n) {
			all.Clear(n)
			others = append(others, n)
		}
	}
	if half == 0 {
		return nil, nil
	}
	runtime.LockOSThread() // this thread becomes the whole program
	if err := unix.SchedSetaffinity(0, &all); err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), theServers+"="+strings.Trim(fmt.Sprint(others), "[]"))
	return nil, syscall.Exec(program, os.Args, env)
}
