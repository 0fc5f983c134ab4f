package main

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/redis" // supports redis:// URLs of the store
)

// claimTime is how soon another process takes over the entries of a dead one.
// The claim time is shorter than the default, so that the example ends sooner.
const claimTime = 3 * time.Second

// member contains the parts that each process of the fleet has: a client, and a
// hub on the shared store. All hubs are equal: any of them delivers and
// heartbeats for any activity.
type member struct {
	temporal client.Client
	hub      *async.Hub
	entries  store.Store
}

// join makes the process a member of the fleet.
func join(ctx context.Context, storeURL string) (m member, err error) {
	temporal, options, err := child.Dial(ctx)
	if err != nil {
		return member{}, err
	}
	defer func() {
		if err != nil {
			temporal.Close()
		}
	}()
	reporter, err := completer.New(completer.Client{Client: temporal, Options: options})
	if err != nil {
		return member{}, err
	}
	entries, err := store.Open(ctx, storeURL)
	if err != nil {
		return member{}, err
	}
	// Without pumps, heartbeat.KeepAlive heartbeats for all activities: the answers
	// come from people, whose progress cannot be queried.
	hub, err := async.New(async.Options{Store: entries, Completer: reporter, ClaimTime: claimTime})
	if err != nil {
		return member{}, errors.Join(err, entries.Close())
	}
	return member{temporal, hub, entries}, nil
}

// run runs the hub until the context ends.
func (m member) run(ctx context.Context) error {
	if err := m.hub.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

func (m member) leave() error {
	m.temporal.Close()
	return m.entries.Close()
}

// work runs the worker's process.
func work(ctx context.Context, storeURL, outside, queue string, ready func(string)) (err error) {
	m, err := join(ctx, storeURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.leave()) }()
	w := worker.New(m.temporal, queue, worker.Options{
		MaxConcurrentActivityExecutionSize: 8, // the survey system takes a while: see outside.go
		StickyScheduleToStartTimeout:       time.Second,
	})
	w.RegisterWorkflow(Survey)
	w.RegisterActivity(&Activities{hub: m.hub, outside: outside})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	ready("at work")
	return m.run(ctx)
}
