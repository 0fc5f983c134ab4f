// Package rig runs activities on a real Temporal server, for tests. A Rig
// starts the activities in workflows or standalone, passes the activity.Info of
// each attempt to the test, and lets the test read the server's state.
//
// A Rig has a task queue and a worker of its own, so any number of parallel
// tests can share one server. Every wait has a time limit that fails the test.
package rig

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// Patience is the time limit of every wait, so that no test hangs.
const Patience = 5 * time.Minute

// Activity is the name of the activity that every Rig's worker has. Next
// returns each attempt of this activity.
const Activity = "Await"

// Options configures a Rig.
type Options struct {
	// Client is connected to the server. Required. The test that created a
	// Client closes it.
	Client client.Client

	// Namespace is the namespace with which Client was dialled. Defaults to
	// "default".
	Namespace string

	// Function runs in an attempt after Next has its Info. The context of
	// Function is the context of the activity. Function defaults to one that
	// returns activity.ErrResultPending.
	Function func(ctx context.Context) (any, error)

	// Register adds workflows and activities to the worker. Defaults to none.
	Register func(r worker.Registry)

	// Worker contains the options of the worker. Worker defaults to options
	// with few pollers.
	Worker worker.Options
}

// Rig is a task queue with a worker, for one test. Only one goroutine at a time
// may call the methods of a Rig.
type Rig struct {
	Client    client.Client
	Namespace string
	Queue     string // the task queue, and a prefix for the test's own IDs

	t      testing.TB
	starts chan activity.Info
}

// New starts a worker that ends with the test.
func New(t testing.TB, o Options) *Rig {
	t.Helper()
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Function == nil {
		o.Function = func(context.Context) (any, error) { return nil, activity.ErrResultPending }
	}
	if o.Worker.MaxConcurrentActivityTaskPollers == 0 {
		o.Worker.MaxConcurrentActivityTaskPollers = 1
	}
	if o.Worker.MaxConcurrentWorkflowTaskPollers == 0 && o.Worker.WorkflowTaskPollerBehavior == nil {
		o.Worker.MaxConcurrentWorkflowTaskPollers = 2 // one poller for the sticky queue
	}
	if o.Worker.DeadlockDetectionTimeout == 0 {
		// By default, the SDK fails a workflow task that does not yield for a
		// second. On a busy machine, the decoding of a large result takes longer.
		o.Worker.DeadlockDetectionTimeout = time.Minute
	}
	r := &Rig{
		Client: o.Client, Namespace: o.Namespace, Queue: "rig-" + rand.Text(),
		t: t, starts: make(chan activity.Info, 100),
	}
	w := worker.New(o.Client, r.Queue, o.Worker)
	w.RegisterActivityWithOptions(func(ctx context.Context) (any, error) {
		r.starts <- activity.GetInfo(ctx)
		return o.Function(ctx)
	}, activity.RegisterOptions{Name: Activity})
	if o.Register != nil {
		o.Register(w)
	}
	if err := w.Start(); err != nil {
		t.Fatalf("start worker: %v", err)
	}
	t.Cleanup(w.Stop)
	return r
}

// Context returns a context that ends with the test, or after Patience.
func (r *Rig) Context() context.Context {
	return Context(r.t)
}

// Service returns the raw gRPC service of the server.
func (r *Rig) Service() workflowservice.WorkflowServiceClient {
	return r.Client.WorkflowService()
}

// Next returns the activity.Info of the next attempt.
func (r *Rig) Next() activity.Info {
	r.t.Helper()
	select {
	case info := <-r.starts:
		return info
	case <-r.Context().Done():
		r.t.Fatal("no attempt has begun")
		return activity.Info{}
	}
}

// None fails the test if an attempt has begun that Next has not returned.
func (r *Rig) None() {
	r.t.Helper()
	select {
	case info := <-r.starts:
		r.t.Errorf("attempt %d of activity %s began, want none", info.Attempt, info.ActivityID)
	default:
	}
}

// Context returns a context that ends with the test, or after Patience.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually polls until ok returns true.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx := Context(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v without success: %s", Patience, what)
		}
	}
}
