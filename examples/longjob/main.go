// Command longjob is an example of long jobs that run on another system.
// Heartbeats report their progress to Temporal, notice a crash, and pass a
// cancellation on to the job.
//
//	go -C examples run ./longjob
//
// The program starts a job runner, a worker and a Temporal server. If the
// TEMPORAL_* environment names a server, the program uses that server. The
// runner, the worker and the server are separate processes. A job crashes, a
// workflow is cancelled, and the worker is killed. The exit code is 0 if all
// results are as expected.
//
// Read workflow.go first, which has the activity that starts a job. Then read
// watch.go, which watches the job, and worker.go, which connects the two.
// Package jobs is the runner. The other files run the example and check the
// result.
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

// run runs the program. If the first argument is a role, run starts one of the
// program's processes, which prints a line for each step.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(stdout, format+"\n", args...) // the parent may be gone: see child.Context
	}
	switch {
	case len(args) == 1 && args[0] == "runner":
		return serveJobs(child.Context(ctx), say)
	case len(args) == 4 && args[0] == "worker":
		return work(child.Context(ctx), args[1], args[2], args[3], say)
	}
	if len(args) > 0 {
		return fmt.Errorf("%q: the command takes no arguments", args[0])
	}
	return tell(ctx, stdout, stderr)
}

// pace is how long the runner takes for one percent of a job.
const pace = 180 * time.Millisecond

// serveJobs runs the runner's process. serveJobs first prints its address.
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
