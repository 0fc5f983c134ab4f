// Package rig runs activities on a real Temporal server, for tests. It starts them
// in workflows or standalone, passes the activity.Info of each attempt to the test,
// and lets the test read what the server knows.
//
// A Rig has a task queue and a worker of its own, so any number of parallel tests
// can share one server. Every wait is bounded and fails the test.
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

// Patience bounds every wait, so that no test hangs.
const Patience = 5 * time.Minute

// Activity is the name of the activity that every Rig's worker has. Next returns
// each of its attempts.
const Activity = "Await"

// Options configures a Rig.
type Options struct {
	// Client is connected to the server. Required. The test that made it closes it.
	Client client.Client

	// Namespace is the one that Client was dialled with. Defaults to "default".
	Namespace string

	// Function is what an attempt does after Next has its Info. Its context is the
	// activity's. Defaults to returning activity.ErrResultPending.
	Function func(ctx context.Context) (any, error)

	// Register adds workflows and activities to the worker. Defaults to none.
	Register func(r worker.Registry)

	// Worker are the worker's own options. Default to few pollers.
	Worker worker.Options
}

// Rig is a task queue with a worker, for one test. Its methods may be called
// by one goroutine at a time.
type Rig struct {
	Client    client.Client
	Namespace string
	Queue     string // the task queue, and a prefix for IDs that are the test's own

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
		o.Worker.MaxConcurrentWorkflowTaskPollers = 2 // one for the sticky queue
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

// Context ends with the test, or when its patience has ended.
func (r *Rig) Context() context.Context {
	return Context(r.t)
}

// Service is the raw service of the server.
func (r *Rig) Service() workflowservice.WorkflowServiceClient {
	return r.Client.WorkflowService()
}

// Next returns the activity.Info of the next attempt that began.
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

// Context returns one that ends with the test, or after Patience.
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
