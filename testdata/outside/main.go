// Command expenses is an application outside of Latchkey's repository.
// TestOutsideModule compiles the command.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// Decision is the answer to an expense.
type Decision struct{ Approved bool }

// ResultType returns a permanent name for the type.
func (Decision) ResultType() string { return "expenses.Decision" }

// Activities contains the dependencies of the activities.
type Activities struct {
	Hub *async.Hub
	Ask func(ctx context.Context, expense, id string) error
}

// Approve sends a request, and ends with the answer to it.
func (a *Activities) Approve(ctx context.Context, expense string) (Decision, error) {
	return async.Start(ctx, a.Hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
		return a.Ask(ctx, expense, p.ID())
	})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o client.Options
	c, err := client.DialContext(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	reporter, err := completer.New(completer.Client{Client: c, Options: o})
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, "memory:")
	if err != nil {
		return err
	}
	defer s.Close()
	hub, err := async.New(async.Options{Store: s, Completer: reporter})
	if err != nil {
		return err
	}
	w := worker.New(c, "expenses", worker.Options{})
	w.RegisterActivity(&Activities{Hub: hub, Ask: func(_ context.Context, expense, id string) error {
		_, err := fmt.Println("approve", expense, "as", id)
		return err
	}})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	return hub.Run(ctx)
}
