// Command ops is Latchkey's example of operations: a hub on Redis with 10,000
// entries in all states, a board, and metrics for Prometheus.
//
//	go -C examples run ./ops          # prints addresses, until Ctrl-C
//	go -C examples run ./ops -auto    # plays an incident, and ends
//
// With -auto, Temporal goes away and comes back, a namespace refuses answers,
// and a pump is missing. The example shows the board during each fault, with a
// line of the metrics, and repairs the fault with the command line
// (cmd/latchkey). The exit code is 0 if the board shows no trouble at the end.
// The example starts its own Temporal server and a Redis (redis-server must be
// installed).
//
// Read next: board.go mounts the board, metrics.go has the metrics, fleet.go
// has the hubs and the workers, and incident.go has the story.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/live"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "ops:", err)
		os.Exit(1)
	}
}

// errLate prevents hanging.
var errLate = errors.New("the incident has not come to its end within ten minutes")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("ops", flag.ContinueOnError)
	flags.SetOutput(stderr)
	entries := flags.Int("entries", 10_000, "how many activities to start, at least 100")
	auto := flags.Bool("auto", false, "play an incident, and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *entries < 100 || flags.NArg() > 0 {
		return errors.New("-entries must be at least 100, and there are no arguments")
	}
	if err := redisserver.Find(); err != nil {
		return err
	}
	f, err := start(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	story := live.New(stdout)
	if *auto {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, 10*time.Minute, errLate)
		defer cancel()
	}
	if err := f.fill(ctx, story, *entries); err != nil {
		return cause(ctx, err)
	}
	if *auto {
		return cause(ctx, f.incident(ctx, story))
	}
	story.Say("board       %s   (user ops, password %s)", f.board, f.token)
	story.Say("command     LATCHKEY_URL=%s LATCHKEY_TOKEN=%s go run ../cmd/latchkey list", f.board, f.token)
	story.Say("metrics     %s/metrics   (for Prometheus)", f.address)
	story.Say("Temporal    %s   (namespaces %s and %s)", f.server.HostPort(), open, closed)
	story.Say("Ctrl-C ends.")
	<-ctx.Done()
	return nil
}

func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
