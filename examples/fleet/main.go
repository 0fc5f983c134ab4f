// Command fleet is Latchkey's example of several processes on one store: two
// workers hand activities over, two processes take the answers, and one of
// each is killed meanwhile.
//
//	go -C examples run ./fleet
//
// It starts a Temporal server, or uses the one that the TEMPORAL_* environment
// names, a Redis (redis-server has to be installed) and the four processes. It
// ends with an account: the exit code is 0 if nothing is lost.
//
// Where to read on: survey.go has the activity, member.go what each process
// has, callbacks.go the one that takes answers. The rest plays the survey system,
// which is asked and answers, kills, and counts.
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

// run is the program. With a role as its first argument it is one of the
// processes that the program starts, and says a line once it is ready.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	ready := func(line string) {
		_, _ = fmt.Fprintln(stdout, line) // to a parent that is gone: see child.Context
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
		return fmt.Errorf("%q: there are no arguments", args[0])
	}
	return tell(ctx, stdout, stderr)
}
