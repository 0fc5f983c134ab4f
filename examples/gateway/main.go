// Command gateway is Latchkey's example of a process that faces the internet.
//
//	go -C examples run ./gateway
//
// The gateway has no client and no credentials for Temporal. It takes answers
// for the activities of another process: from people over sealed links, and from
// a payment provider over signed webhooks. Temporal is stopped while it does. The
// example starts its own Temporal server and a Redis (redis-server has to be
// installed). It ends with an account: the exit code is 0 if each workflow has
// the answers that were accepted.
//
// Where to read on: gateway.go is the whole gateway, workflow.go has the
// activities. story.go plays the people and the payment provider.
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
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

// run is the program. With a role as its first argument it is one of the
// processes that the program starts, and prints a line once it is ready.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	ready := func(line string) {
		_, _ = fmt.Fprintln(stdout, line) // to a parent that is gone: see child.Context
	}
	switch {
	case len(args) == 2 && args[0] == "redis":
		return redisserver.Run(child.Context(ctx), args[1], ready)
	case len(args) == 2 && args[0] == "gateway":
		return serveGateway(child.Context(ctx), args[1], ready)
	}
	if len(args) > 0 {
		return fmt.Errorf("%q: there are no arguments", args[0])
	}
	return tell(ctx, stdout, stderr)
}
