// Command longjob is Latchkey's example of long jobs that run elsewhere, and
// that are looked after by heartbeats: their progress reaches Temporal, a crash
// is noticed, a cancellation reaches the job.
//
//	go -C examples run ./longjob
//
// It starts a Temporal server, or uses the one that the TEMPORAL_* environment
// names, a job runner and a worker, each a process of its own, lets some
// things go wrong, and ends with an account: the exit code is 0 if all came out
// as it should.
//
// Where to read on: workflow.go has the activity that starts a job, watch.go
// what looks after it, worker.go how the two are put together. Package jobs is
// the runner, which knows nothing of them. The rest tells the story.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/examples/internal/httpserver"
	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "longjob:", err)
		os.Exit(1)
	}
}

// run is the program. With a role as its first argument it is one of the
// processes that the program starts, and says a line for each thing that it
// does.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(stdout, format+"\n", args...) // to a parent that is gone: see child.Context
	}
	switch {
	case len(args) == 1 && args[0] == "runner":
		return serveJobs(child.Context(ctx), say)
	case len(args) == 4 && args[0] == "worker":
		return work(child.Context(ctx), args[1], args[2], args[3], say)
	}
	if len(args) > 0 {
		return fmt.Errorf("%q: there are no arguments", args[0])
	}
	return tell(ctx, stdout, stderr)
}

// pace is how long the runner takes for a percent of a job.
const pace = 180 * time.Millisecond

// serveJobs is the runner's process. The first thing it says is its address.
func serveJobs(ctx context.Context, say func(format string, args ...any)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := httpserver.New(jobs.NewServer(pace))
	context.AfterFunc(ctx, func() { _ = server.Close() })
	say("http://%s", l.Addr())
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
