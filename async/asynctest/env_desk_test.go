package asynctest_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// Reply is the result type of the activities in these tests.
type Reply struct{ Text string }

const day = 24 * time.Hour

// desk has the test environment of a workflow, and the hub of its activities.
// The methods of desk are the workflows and the activities.
type desk struct {
	t         *testing.T
	env       *testsuite.TestWorkflowEnvironment
	completer completer.Completer
	hub       *async.Hub
	asked     []string // callback IDs, in the order of the requests
	ask       func(ctx context.Context, p async.Pending[Reply]) error
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	d := &desk{t: t, env: suite.NewTestWorkflowEnvironment()}
	d.completer = asynctest.EnvCompleter(d.env)
	d.hub = asynctest.NewHub(t, async.Options{Completer: d.completer})
	d.env.RegisterActivity(d.Ask)
	d.env.RegisterActivity(d.Wait)
	d.env.RegisterWorkflow(d.Parent)
	d.env.RegisterWorkflow(d.One)
	return d
}

// Ask is an activity that waits for a Reply.
func (d *desk) Ask(ctx context.Context) (Reply, error) {
	return async.Start(ctx, d.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Reply]) error {
		d.asked = append(d.asked, p.ID())
		if d.ask != nil {
			return d.ask(ctx, p)
		}
		return nil
	})
}

// Wait is an activity without a result.
func (d *desk) Wait(ctx context.Context) error {
	_, err := async.Start(ctx, d.hub, async.StartOptions{}, func(context.Context, async.Pending[async.None]) error { return nil })
	return err
}

func options(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * day,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3},
	})
}

// One is a workflow of one activity.
func (d *desk) One(ctx workflow.Context) (Reply, error) {
	var r Reply
	err := workflow.ExecuteActivity(options(ctx), d.Ask).Get(ctx, &r)
	return r, err
}

// Parent is a workflow whose child has the activity.
func (d *desk) Parent(ctx workflow.Context) (Reply, error) {
	var r Reply
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: "child"})
	err := workflow.ExecuteChildWorkflow(ctx, d.One).Get(ctx, &r)
	return r, err
}

// after calls f once, when the duration wait has passed in the workflow's time.
func (d *desk) after(wait time.Duration, f func(ctx context.Context)) {
	d.env.RegisterDelayedCallback(func() { f(d.t.Context()) }, wait)
}

// open opens the only callback that waits.
func (d *desk) open() async.Pending[Reply] {
	d.t.Helper()
	waiting := asynctest.Pending(d.t, d.hub)
	if len(waiting) != 1 {
		d.t.Fatalf("%d callbacks wait, want 1", len(waiting))
	}
	p, err := async.Open[Reply](d.t.Context(), d.hub, waiting[0].ID())
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func (d *desk) result() Reply {
	d.t.Helper()
	if !d.env.IsWorkflowCompleted() {
		d.t.Fatal("the workflow isn't completed")
	}
	var r Reply
	if err := d.env.GetWorkflowResult(&r); err != nil {
		d.t.Fatalf("the workflow failed: %v", err)
	}
	return r
}

func (d *desk) wantClosed(want error) {
	d.t.Helper()
	for c, err := range d.hub.List(d.t.Context()) {
		if err != nil {
			d.t.Fatal(err)
		}
		if i := c.Info(); i.State != async.Closed || i.Delivered != (want == nil) || !errors.Is(i.End, want) {
			d.t.Errorf("the entry is %v, delivered %v, end %v, want closed, end %v", i.State, i.Delivered, i.End, want)
		}
	}
}

func wantIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// target returns the attempt of a callback, as the hub identifies it.
func (d *desk) target(c async.Callback) completer.Target {
	i := c.Info()
	return completer.Target{
		Namespace: i.Namespace, WorkflowID: i.WorkflowID, RunID: i.RunID, ActivityID: i.ActivityID,
		TaskToken: []byte(i.RunID + "#" + i.ActivityID), Scheduled: i.Started, Started: i.Started,
	}
}

func (d *desk) beat(p async.Pending[Reply]) completer.Signals {
	d.t.Helper()
	s, err := d.completer.Heartbeat(d.t.Context(), d.target(p.Callback), nil)
	if err != nil {
		d.t.Errorf("Heartbeat: %v", err)
	}
	return s
}
