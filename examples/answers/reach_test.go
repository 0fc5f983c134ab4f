package answers

import (
	"context"
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// A delivery by ID reaches any activity with that ID.
func TestActivityIDUsedTwice(t *testing.T) {
	w := newWorld(t, config{register: func(_ *world, r worker.Registry) {
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (Decision, error) {
			var d Decision
			o := patient()
			o.ActivityID = "approve"
			short := o
			short.StartToCloseTimeout = brief
			short.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
			_ = await(ctx, short, rig.Activity).Get(ctx, nil)
			return d, await(ctx, o, rig.Activity).Get(ctx, &d)
		}, workflow.RegisterOptions{Name: "twice"})
	}})
	run := w.Start("twice")
	first, second := w.next(), w.next()
	wantErr(t, first.Complete(w.Context(), Decision{By: "late"}), async.ErrClosed, async.ErrExpired)
	w.wantPending(run, 1)
	must(t, second.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// With Go's default IDs, the activity of the next run has the same ID.
func TestNextRunIsNotReached(t *testing.T) {
	w := newWorld(t, config{register: func(_ *world, r worker.Registry) {
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context, again bool) (Decision, error) {
			var d Decision
			o := patient()
			if again {
				o.StartToCloseTimeout = brief
				o.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
			}
			err := await(ctx, o, rig.Activity).Get(ctx, &d)
			if again {
				return d, workflow.NewContinueAsNewError(ctx, "again", false)
			}
			return d, err
		}, workflow.RegisterOptions{Name: "again"})
	}})
	run := w.Start("again", true)
	first, second := w.next(), w.next()
	wantErr(t, first.Complete(w.Context(), Decision{By: "late"}), async.ErrClosed)
	must(t, second.Complete(w.Context(), approved))
	var got Decision
	must(t, w.Client.GetWorkflow(w.Context(), run.GetID(), "").Get(w.Context(), &got))
	if got != approved {
		t.Errorf("the second run read %+v, want %+v", got, approved)
	}
}

// busy is a workflow that awaits a decision. After a signal, a local activity
// keeps a workflow task open.
func busy(running chan<- struct{}, release <-chan struct{}) func(_ *world, r worker.Registry) {
	return func(_ *world, r worker.Registry) {
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (Decision, error) {
			var d Decision
			answer := await(ctx, patient(), rig.Activity)
			workflow.GetSignalChannel(ctx, "work").Receive(ctx, nil)
			local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
			if err := workflow.ExecuteLocalActivity(local, func(context.Context) error {
				close(running)
				<-release
				return nil
			}).Get(ctx, nil); err != nil {
				return d, err
			}
			return d, answer.Get(ctx, &d)
		}, workflow.RegisterOptions{Name: "busy"})
	}
}

// Temporal accepts the completion while a workflow task runs, and the reply is
// lost. The activity is not pending, and history does not show the reason yet.
func TestBufferedEventIsNotReadAsOver(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	w := newWorld(t, config{register: busy(running, release)})
	run := w.Start("busy")
	p := w.next()
	must(t, w.Client.SignalWorkflow(w.Context(), run.GetID(), run.GetRunID(), "work", nil))
	select {
	case <-running:
	case <-w.Context().Done():
		t.Fatal("the workflow task hasn't begun")
	}
	w.completer.set(false, func(error) error { return completer.ErrOver })
	must(t, p.Complete(w.Context(), approved))
	if info := w.wantState(p, async.Settled); info.LastError != "ended, not yet in history" {
		t.Errorf("the last error is %q", info.LastError)
	}
	close(release)
	w.wantResult(run, approved)
}

func TestCancellation(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	wantErr(t, p.ReportCanceled(w.Context()), completer.ErrCancelNotRequested)
	w.wantPending(run, 1)
	must(t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID()))
	rig.Eventually(t, "the request", func() bool {
		err := p.ReportCanceled(w.Context(), "as you wish")
		if err != nil && !errors.Is(err, completer.ErrCancelNotRequested) {
			t.Fatal(err)
		}
		return err == nil
	})
	if err := run.Get(w.Context(), nil); !temporal.IsCanceledError(err) {
		t.Errorf("the workflow ended with %v, want a cancellation", err)
	}
	w.wantState(p, async.Closed)
	must(t, p.ReportCanceled(w.Context(), "as you wish"))
	wantErr(t, p.Complete(w.Context(), approved), async.ErrSettled)
}

func TestCompletedAfterARequestToCancel(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	must(t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID()))
	w.AwaitPending(run, "the request", func(p *workflowpb.PendingActivityInfo) bool {
		return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
	})
	must(t, p.Complete(w.Context(), approved))
	w.wantState(p, async.Closed)
	w.wantResult(run, approved)
}

func TestStandaloneActivity(t *testing.T) {
	t.Parallel()
	t.Run("completed", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{})
		p := w.next()
		if i := p.Info(); i.WorkflowID != "" || i.ActivityRunID == "" {
			t.Errorf("the callback tells %+v", i)
		}
		must(t, p.Complete(w.Context(), approved))
		var got Decision
		if err := h.Get(w.Context(), &got); err != nil || got != approved {
			t.Errorf("the activity's result is %+v, %v", got, err)
		}
		must(t, p.Complete(w.Context(), approved))
	})
	t.Run("failed, then completed in back-off", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{StartToCloseTimeout: brief, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Hour}})
		p := w.next()
		rig.Eventually(t, "back-off", func() bool { return w.DescribeActivity(h).GetInfo().GetAttempt() == 2 })
		must(t, p.Complete(w.Context(), approved))
		var got Decision
		if err := h.Get(w.Context(), &got); err != nil || got != approved {
			t.Errorf("the activity's result is %+v, %v", got, err)
		}
		w.wantState(p, async.Closed)
	})
	t.Run("lost reply", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{})
		p := w.next()
		w.completer.set(false, func(error) error { return completer.ErrOver })
		must(t, p.Complete(w.Context(), approved))
		must(t, h.Get(w.Context(), nil))
		if info := w.wantState(p, async.Closed); !info.Delivered {
			t.Errorf("the callback tells %+v, want that it was delivered", info)
		}
	})
	t.Run("lost reply to a failure", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond}})
		first := w.next()
		w.completer.set(false, lose)
		must(t, first.Fail(w.Context(), errBroken))
		w.completer.set(false, nil)
		second := w.next()
		must(t, second.Reject(w.Context(), errBroken))
		if err := h.Get(w.Context(), nil); err == nil {
			t.Error("the activity has a result")
		}
		if a := w.DescribeActivity(h).GetInfo().GetAttempt(); a != 2 {
			t.Errorf("it ended in attempt %d, want 2", a)
		}
	})
	t.Run("timed out", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{StartToCloseTimeout: brief, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}})
		p := w.next()
		if err := h.Get(w.Context(), nil); err == nil {
			t.Fatal("the activity has a result")
		}
		wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, async.ErrExpired)
	})
	t.Run("cancelled", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{})
		p := w.next()
		wantErr(t, p.ReportCanceled(w.Context()), completer.ErrCancelNotRequested)
		must(t, h.Cancel(w.Context(), client.CancelActivityOptions{}))
		must(t, p.ReportCanceled(w.Context(), "as you wish"))
		if err := h.Get(w.Context(), nil); !temporal.IsCanceledError(err) {
			t.Errorf("the activity ended with %v", err)
		}
	})
	t.Run("terminated", func(t *testing.T) {
		w := newWorld(t, config{})
		h := w.StartActivity(client.StartActivityOptions{})
		p := w.next()
		must(t, h.Terminate(w.Context(), client.TerminateActivityOptions{Reason: "a test"}))
		wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, completer.ErrOver)
	})
}

func TestSecondNamespace(t *testing.T) {
	o := client.Options{Namespace: "second"}
	w := newWorld(t, config{client: o})
	// One hub serves both namespaces and reports each entry in its own
	// namespace.
	both, err := completer.New(
		completer.Client{Client: server.Client(t)},
		completer.Client{Client: server.Dial(t, o), Options: o},
	)
	must(t, err)
	hub, err := async.New(async.Options{Store: w.store, Completer: both})
	must(t, err)
	run := w.Start(awaitDecision, patient())
	p, err := async.Open[Decision](w.Context(), hub, w.next().ID())
	must(t, err)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestNoClientForTheNamespace(t *testing.T) {
	w := newWorld(t, config{client: client.Options{Namespace: "second"}})
	other, err := completer.New(completer.Client{Client: server.Client(t)})
	must(t, err)
	hub, err := async.New(async.Options{Store: w.store, Completer: other})
	must(t, err)
	o := quick()
	o.StartToCloseTimeout = brief
	run := w.Start(awaitDecision, o)
	p, err := async.Open[Decision](w.Context(), hub, w.next().ID())
	must(t, err)
	must(t, p.Complete(w.Context(), approved)) // the answer is accepted, and another hub must deliver it
	if i := w.wantState(p, async.Settled); i.LastError != "refused" {
		t.Errorf("the last error is %q", i.LastError)
	}
	w.wantResult(run, approved) // Start of the next attempt delivers it
	w.none()
}

// The derived client shares the application's connection, and does not close
// it.
func TestCompleterOutlivesNoConnection(t *testing.T) {
	w := newWorld(t, config{})
	c := server.Dial(t, client.Options{})
	reporter, err := completer.New(completer.Client{Client: c})
	must(t, err)
	tg := completer.Target{Namespace: "default", WorkflowID: "none", RunID: "5a3e1f0e-0000-4000-8000-000000000000", ActivityID: "1"}
	for range 2 {
		if s, err := reporter.Describe(w.Context(), tg, ""); err != nil || s.Pending || s.End != completer.EndUnknown {
			t.Errorf("described %+v, %v, want that nothing is known", s, err)
		}
	}
	c.Close()
	if _, err := reporter.Describe(w.Context(), tg, ""); err == nil {
		t.Error("the connection is still open after the application has closed it")
	}
}
