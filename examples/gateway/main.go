// Command gateway is an example of a process that faces the internet.
//
//	go -C examples run ./gateway
//
// The gateway has no client and no credentials for Temporal. The gateway
// accepts answers for the activities of another process: from people through
// sealed links, and from a payment provider through signed webhooks. Temporal
// is stopped for part of the time. The example starts its own Temporal server
// and a Redis (redis-server must be installed). The exit code is 0 if each
// workflow gets the accepted answers.
//
// Read gateway.go first, which is the whole gateway. Then read workflow.go,
// which has the activities. story.go plays the people and the payment provider.
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

// run runs the program. If the first argument is a role, run starts one of the
// program's processes, which prints a line when it is ready.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	ready := func(line string) {
		_, _ = fmt.Fprintln(stdout, line) // the parent may be gone: see child.Context
	}
	switch {
	case len(args) == 2 && args[0] == "redis":
		return redisserver.Run(child.Context(ctx), args[1], ready)
	case len(args) == 2 && args[0] == "gateway":
		return serveGateway(child.Context(ctx), args[1], ready)
	}
	if len(args) > 0 {
		return fmt.Errorf("%q: the command takes no arguments", args[0])
	}
	return tell(ctx, stdout, stderr)
}
