// Command quickstart runs one workflow whose activity waits for a person.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// Decision is the answer that the activity waits for.
type Decision struct {
	Approved bool
	By       string
}

// ResultType returns the name of the type in the store. The stored name stays
// the same if the Go type is renamed.
func (Decision) ResultType() string { return "quickstart.Decision" }

// Activities holds what the activities need.
type Activities struct {
	Hub *async.Hub
	Ask func(ctx context.Context, expense, id string) error
}

// Approve asks for a decision and returns at once. No goroutine waits: the task
// token is in the store until the answer arrives.
func (a *Activities) Approve(ctx context.Context, expense string) (Decision, error) {
	return async.Start(ctx, a.Hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
		return a.Ask(ctx, expense, p.ID()) // the callback ID: short, URL-safe, unguessable
	})
}

// Reimburse is the workflow. The workflow calls Approve as an ordinary
// activity.
func Reimburse(ctx workflow.Context, expense string) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 14 * 24 * time.Hour})
	var (
		a *Activities
		d Decision
	)
	if err := workflow.ExecuteActivity(ctx, a.Approve, expense).Get(ctx, &d); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, approved: %t, by %s", expense, d.Approved, d.By), nil
}

func run(ctx context.Context) error {
	options := client.Options{
		HostPort: os.Getenv("TEMPORAL_ADDRESS"), // empty: localhost:7233
		Logger:   slog.Default(),
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return err
	}
	defer c.Close()

	// The store keeps the waiting activities. In production, the store is
	// PostgreSQL, Redis or a file.
	s, err := store.Open(ctx, "memory:")
	if err != nil {
		return err
	}
	defer s.Close()
	reporter, err := completer.New(completer.Client{Client: c, Options: options})
	if err != nil {
		return err
	}
	hub, err := async.New(async.Options{Store: s, Completer: reporter})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = hub.Run(ctx) }) // delivers, retries and heartbeats until ctx ends
	defer running.Wait()
	defer cancel()

	asked := make(chan string, 1)
	w := worker.New(c, "quickstart", worker.Options{})
	w.RegisterWorkflow(Reimburse)
	w.RegisterActivity(&Activities{Hub: hub, Ask: func(_ context.Context, expense, id string) error {
		fmt.Println("waiting for a decision:", expense)
		asked <- id // a real program sends a mail, or starts a job
		return nil
	}})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()

	expense, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "quickstart"}, Reimburse, "train ticket")
	if err != nil {
		return err
	}

	// The answer may arrive in any process on the same store, on any day.
	p, err := async.Open[Decision](ctx, hub, <-asked) // refused unless the activity awaits a Decision
	if err != nil {
		return err
	}
	if err := p.Complete(ctx, Decision{Approved: true, By: "Ada"}); err != nil {
		return err // nil means that the answer is stored and will be delivered
	}

	var result string
	if err := expense.Get(ctx, &result); err != nil {
		return err
	}
	fmt.Println("the workflow returned:", result)
	return nil
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
