// Command fleet is an example of several processes on one store. Two workers
// hand activities over, and two processes accept the answers. One worker and
// one of the other processes are killed while the example runs.
//
//	go -C examples run ./fleet
//
// The program starts a Redis (redis-server must be installed), the four
// processes and a Temporal server. If the TEMPORAL_* environment names a
// server, the program uses that server. At the end, the program compares the
// promised answers with Temporal's data. The exit code is 0 if no answer is
// lost.
//
// Read survey.go first, which has the activity. Then read member.go, which each
// process uses, and callbacks.go, which accepts answers. The other files play
// the survey system, kill processes and check the result.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// run runs the program. If the first argument is a role, run starts one of the
// program's processes, which prints a line when it is ready.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	ready := func(line string) {
		_, _ = fmt.Fprintln(stdout, line) // the parent may be gone: see child.Context
	}
	switch {
	case len(args) == 2 && args[0] == "redis":
		return redisserver.Run(child.Context(ctx), args[1], ready)
	case len(args) == 4 && args[0] == "worker":
		return work(child.Context(ctx), args[1], args[2], args[3], ready)
	case len(args) == 2 && args[0] == "callbacks":
		return takeAnswers(child.Context(ctx), args[1], ready)
	}
	if len(args) > 0 {
		return fmt.Errorf("%q: the command takes no arguments", args[0])
	}
	return tell(ctx, stdout, stderr)
}
