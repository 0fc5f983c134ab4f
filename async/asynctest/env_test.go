package asynctest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

func TestEnvResult(t *testing.T) {
	d := newDesk(t)
	began := d.env.Now()
	var answered time.Time
	d.after(3*day, func(ctx context.Context) {
		answered = d.env.Now()
		p := d.open()
		wantIs(t, "Complete", p.Complete(ctx, Reply{"yes"}), nil)
		wantIs(t, "the same again", p.Complete(ctx, Reply{"yes"}), nil)
		wantIs(t, "another", p.Complete(ctx, Reply{"no"}), async.ErrSettled)
	})
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "yes" {
		t.Errorf("the workflow read %+v", r)
	}
	if waited := answered.Sub(began); waited < 3*day || waited > 4*day {
		t.Errorf("answered after %v of the workflow's time, want 3 days", waited)
	}
	d.wantClosed(nil)
}

func TestEnvNoResult(t *testing.T) {
	d := newDesk(t)
	d.after(day, func(ctx context.Context) {
		p, err := async.Open[async.None](ctx, d.hub, asynctest.Pending(t, d.hub)[0].ID())
		wantIs(t, "Open", err, nil)
		wantIs(t, "Complete", p.Complete(ctx, async.None{}), nil)
	})
	done := false
	d.env.ExecuteWorkflow(func(ctx workflow.Context) error {
		err := workflow.ExecuteActivity(options(ctx), d.Wait).Get(ctx, nil)
		done = err == nil
		return err
	})
	if err := d.env.GetWorkflowError(); err != nil || !done {
		t.Errorf("the workflow ended with %v", err)
	}
}

func TestEnvFailures(t *testing.T) {
	cause := temporal.NewApplicationErrorWithOptions("declined", "Declined", temporal.ApplicationErrorOptions{Details: []any{Reply{"why"}, 7}})
	for name, answer := range map[string]func(context.Context, async.Callback) error{
		"fail":   func(ctx context.Context, c async.Callback) error { return c.Fail(ctx, cause) },
		"reject": func(ctx context.Context, c async.Callback) error { return c.Reject(ctx, cause) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.after(day, func(ctx context.Context) { wantIs(t, name, answer(ctx, d.open().Callback), nil) })
			d.env.ExecuteWorkflow(d.One)
			failed, ok := errors.AsType[*temporal.ApplicationError](d.env.GetWorkflowError())
			if !ok {
				t.Fatalf("the workflow ended with %v", d.env.GetWorkflowError())
			}
			var why Reply
			var n int
			if err := failed.Details(&why, &n); err != nil || why.Text != "why" || n != 7 {
				t.Errorf("the details are %+v, %d, %v", why, n, err)
			}
			if failed.Type() != "Declined" || failed.Message() != "declined" || failed.NonRetryable() != (name == "reject") {
				t.Errorf("the workflow read type %q, message %q, non-retryable %v", failed.Type(), failed.Message(), failed.NonRetryable())
			}
			if len(d.asked) != 1 {
				t.Errorf("asked %d times: the environment retries failures from outside now, say so in the documentation", len(d.asked))
			}
			d.wantClosed(nil)
		})
	}
}

// TestEnvWithinFunction: the answer may arrive before the activity's function
// has returned.
func TestEnvWithinFunction(t *testing.T) {
	d := newDesk(t)
	d.ask = func(ctx context.Context, p async.Pending[Reply]) error { return p.Complete(ctx, Reply{"at once"}) }
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "at once" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestEnvInBubble: the test of a workflow can run in a synctest bubble, and can
// thus also check the retries of a hub.
func TestEnvInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.after(3*day, func(ctx context.Context) { wantIs(t, "Complete", d.open().Complete(ctx, Reply{"yes"}), nil) })
		d.env.ExecuteWorkflow(d.One)
		if r := d.result(); r.Text != "yes" {
			t.Errorf("the workflow read %+v", r)
		}
	})
}

// TestEnvRetry: the next attempt reads the reference that an earlier attempt
// remembered, and has the same callback ID.
func TestEnvRetry(t *testing.T) {
	d := newDesk(t)
	var found []string
	d.ask = func(ctx context.Context, p async.Pending[Reply]) error {
		found = append(found, p.Reference())
		if len(found) < 3 {
			wantIs(t, "Remember", p.Remember(ctx, strings.Repeat("x", len(found))), nil)
			return errors.New("the mail server is away")
		}
		return nil
	}
	d.after(3*day, func(ctx context.Context) { wantIs(t, "Complete", d.open().Complete(ctx, Reply{"yes"}), nil) })
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "yes" || strings.Join(found, ",") != ",x,xx" {
		t.Errorf("the workflow read %+v, and the attempts found %q", r, found)
	}
	if d.asked[0] != d.asked[1] || d.asked[1] != d.asked[2] {
		t.Error("the attempts had different callback IDs")
	}
}

func TestEnvChildWorkflow(t *testing.T) {
	d := newDesk(t)
	d.after(day, func(ctx context.Context) { wantIs(t, "Complete", d.open().Complete(ctx, Reply{"child"}), nil) })
	d.env.ExecuteWorkflow(d.Parent)
	if r := d.result(); r.Text != "child" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestEnvTooLate: after ExecuteWorkflow has returned, no code reads an answer,
// and the environment does not report an error.
func TestEnvTooLate(t *testing.T) {
	ctx := t.Context()
	d := newDesk(t)
	d.env.SetWorkflowRunTimeout(10 * day)
	d.env.ExecuteWorkflow(d.One)
	if err := d.env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Fatalf("the workflow ended with %v, want with its own time-out", err)
	}
	p := d.open()
	_, err := d.completer.Heartbeat(ctx, completer.Target{}, nil)
	wantIs(t, "Heartbeat", err, completer.ErrOver)
	wantIs(t, "ReportCanceled", p.ReportCanceled(ctx), async.ErrClosed)
	d.wantClosed(completer.ErrOver)

	d = newDesk(t)
	began := d.env.Now()
	d.env.ExecuteWorkflow(d.One)
	if skipped := d.env.Now().Sub(began); skipped < 365*day {
		t.Errorf("the environment skipped %v, want years: has it come to know the activity's time-out?", skipped)
	}
	wantIs(t, "Complete", d.open().Complete(ctx, Reply{}), async.ErrClosed)
	d.wantClosed(completer.ErrOver)
}

// TestEnvSameID: a second activity with the same ID is a different activity,
// however the first one ended.
func TestEnvSameID(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		d := newDesk(t)
		d.after(day, func(ctx context.Context) {
			details := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("half")}}}
			if _, err := d.completer.Heartbeat(ctx, d.target(d.open().Callback), details); err != nil {
				t.Errorf("Heartbeat: %v", err)
			}
			if cancelled {
				d.env.SignalWorkflow("stop", nil)
				return
			}
			wantIs(t, "the first", d.open().Complete(ctx, Reply{"first"}), nil)
		})
		d.after(2*day, func(ctx context.Context) {
			waiting := asynctest.Pending(t, d.hub)
			last := waiting[len(waiting)-1]
			if s, err := d.completer.Describe(ctx, d.target(last), ""); err != nil || !s.Pending || s.CancelRequested || s.Details != nil {
				t.Errorf("the second is described as %v, %v, cancel requested %v, details %v", s, err, s.CancelRequested, s.Details)
			}
			if cancelled {
				if s, err := d.completer.Describe(ctx, d.target(waiting[0]), ""); err != nil || !s.CancelRequested {
					t.Errorf("the first is described as %v, %v", s, err)
				}
				p, err := async.Open[Reply](ctx, d.hub, waiting[0].ID())
				wantIs(t, "Open", err, nil)
				wantIs(t, "the first", p.Complete(ctx, Reply{"first"}), nil)
			}
			p, err := async.Open[Reply](ctx, d.hub, last.ID())
			wantIs(t, "Open", err, nil)
			wantIs(t, "the second", p.Complete(ctx, Reply{"second"}), nil)
		})
		d.env.ExecuteWorkflow(func(ctx workflow.Context) (Reply, error) {
			ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 30 * day, ActivityID: "ask"})
			stoppable, stop := workflow.WithCancel(ctx)
			workflow.Go(ctx, func(ctx workflow.Context) {
				workflow.GetSignalChannel(ctx, "stop").Receive(ctx, nil)
				stop()
			})
			var r Reply
			if err := workflow.ExecuteActivity(stoppable, d.Ask).Get(ctx, &r); (err != nil) != cancelled {
				return r, err
			}
			err := workflow.ExecuteActivity(ctx, d.Ask).Get(ctx, &r)
			return r, err
		})
		if r := d.result(); r.Text != "second" {
			t.Errorf("cancelled %v: the workflow read %+v", cancelled, r)
		}
	}
}

// TestEnvActivityNeverTimesOut checks what EnvCompleter's documentation says
// about timeouts of the environment.
func TestEnvActivityNeverTimesOut(t *testing.T) {
	d := newDesk(t)
	d.after(3*day, func(ctx context.Context) { wantIs(t, "Complete", d.open().Complete(ctx, Reply{"late"}), nil) })
	d.env.ExecuteWorkflow(func(ctx workflow.Context) (Reply, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Hour, HeartbeatTimeout: time.Minute})
		var r Reply
		err := workflow.ExecuteActivity(ctx, d.Ask).Get(ctx, &r)
		return r, err
	})
	if r := d.result(); r.Text != "late" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestEnvNoMark: Describe attributes an outcome without a mark to another
// client.
func TestEnvNoMark(t *testing.T) {
	d := newDesk(t)
	d.after(day, func(ctx context.Context) {
		first := d.target(d.open().Callback)
		wantIs(t, "Complete", d.completer.Complete(ctx, first, result("")), nil)
		if s, err := d.completer.Describe(ctx, first, ""); err != nil || s.End != completer.EndOther {
			t.Errorf("described as %v, %v, want end %v", s, err, completer.EndOther)
		}
	})
	d.env.ExecuteWorkflow(d.One)
}
