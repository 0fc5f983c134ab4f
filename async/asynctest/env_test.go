package asynctest_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
)

// Reply is what the activities of these tests await.
type Reply struct{ Text string }

const day = 24 * time.Hour

// desk is a workflow's test environment, the hub of its activities, and the
// workflows and activities.
type desk struct {
	t         *testing.T
	env       *testsuite.TestWorkflowEnvironment
	completer async.Completer
	hub       *async.Hub
	asked     []string // callback IDs, in order
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

// after has f called once, so much later in the workflow's time.
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

// TestEnvWithinFunction: the answer may be there before the outside was asked
// in full.
func TestEnvWithinFunction(t *testing.T) {
	d := newDesk(t)
	d.ask = func(ctx context.Context, p async.Pending[Reply]) error { return p.Complete(ctx, Reply{"at once"}) }
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "at once" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestEnvInBubble: a hub's second tries can be tested with the workflow.
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

// TestEnvRetry: what an attempt remembered is there for the next, which has
// the same callback ID.
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

// TestEnvTooLate: nobody is left to read an answer once ExecuteWorkflow has
// returned, and the environment wouldn't say so.
func TestEnvTooLate(t *testing.T) {
	ctx := t.Context()
	d := newDesk(t)
	d.env.SetWorkflowRunTimeout(10 * day)
	d.env.ExecuteWorkflow(d.One)
	if err := d.env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Fatalf("the workflow ended with %v, want with its own time-out", err)
	}
	p := d.open()
	_, err := d.completer.Heartbeat(ctx, async.Target{}, nil)
	wantIs(t, "Heartbeat", err, async.ErrOver)
	wantIs(t, "ReportCanceled", p.ReportCanceled(ctx), async.ErrClosed)
	d.wantClosed(async.ErrOver)

	d = newDesk(t)
	began := d.env.Now()
	d.env.ExecuteWorkflow(d.One)
	if skipped := d.env.Now().Sub(began); skipped < 365*day {
		t.Errorf("the environment skipped %v, want years: has it come to know the activity's time-out?", skipped)
	}
	wantIs(t, "Complete", d.open().Complete(ctx, Reply{}), async.ErrClosed)
	d.wantClosed(async.ErrOver)
}

func TestEnvCancellation(t *testing.T) {
	for name, answer := range map[string]func(context.Context, async.Pending[Reply]) error{
		"reported": func(ctx context.Context, p async.Pending[Reply]) error { return p.ReportCanceled(ctx, "stopped") },
		"result":   func(ctx context.Context, p async.Pending[Reply]) error { return p.Complete(ctx, Reply{"too late"}) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.after(day, func(ctx context.Context) {
				p := d.open()
				wantIs(t, "ReportCanceled", p.ReportCanceled(ctx), async.ErrCancelNotRequested)
				if s := d.beat(p); s != (async.Signals{}) {
					t.Errorf("before: %+v", s)
				}
				d.env.SignalWorkflow("stop", nil)
			})
			d.after(2*day, func(ctx context.Context) {
				p := d.open()
				if s := d.beat(p); s != (async.Signals{CancelRequested: true}) {
					t.Errorf("after: %+v", s)
				}
				wantIs(t, name, answer(ctx, p), nil)
				wantIs(t, "another", p.Reject(ctx, errors.New("no")), async.ErrSettled)
			})
			d.env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
				stoppable, stop := workflow.WithCancel(options(ctx))
				asked := workflow.ExecuteActivity(stoppable, d.Ask)
				workflow.GetSignalChannel(ctx, "stop").Receive(ctx, nil)
				stop()
				if err := asked.Get(ctx, nil); !temporal.IsCanceledError(err) {
					t.Errorf("the workflow read %v, want a cancellation", err)
				}
				return "went on", workflow.Sleep(ctx, 5*day)
			})
			var r string
			if err := d.env.GetWorkflowResult(&r); err != nil || r != "went on" {
				t.Errorf("the workflow ended with %q, %v", r, err)
			}
			d.wantClosed(nil)
		})
	}
}

// target is the attempt behind a callback, as the hub would have it.
func (d *desk) target(c async.Callback) async.Target {
	i := c.Info()
	return async.Target{
		Namespace: i.Namespace, WorkflowID: i.WorkflowID, RunID: i.RunID, ActivityID: i.ActivityID,
		TaskToken: []byte(i.RunID + "#" + i.ActivityID), Scheduled: i.Started, Started: i.Started,
	}
}

func (d *desk) beat(p async.Pending[Reply]) async.Signals {
	d.t.Helper()
	s, err := d.completer.Heartbeat(d.t.Context(), d.target(p.Callback), nil)
	if err != nil {
		d.t.Errorf("Heartbeat: %v", err)
	}
	return s
}

// TestEnvSameID: the second activity of an ID is another, whatever became of
// the first.
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

// reverse is a codec.
type reverse struct{}

func (reverse) Encode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return flip(ps, "reversed")
}
func (reverse) Decode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) { return flip(ps, "") }

func flip(ps []*commonpb.Payload, mark string) ([]*commonpb.Payload, error) {
	flipped := make([]*commonpb.Payload, 0, len(ps))
	for _, p := range ps {
		if (string(p.Metadata["codec"]) == "reversed") == (mark != "") {
			return nil, errors.New("encoded twice, or not at all")
		}
		data := make([]byte, 0, len(p.Data))
		for i := range p.Data {
			data = append(data, p.Data[len(p.Data)-1-i])
		}
		flipped = append(flipped, &commonpb.Payload{Data: data, Metadata: map[string][]byte{
			"encoding": p.Metadata["encoding"], "codec": []byte(mark),
		}})
	}
	return flipped, nil
}

// TestEnvCodec: the environment runs its codec over what the hub has encoded.
func TestEnvCodec(t *testing.T) {
	d := newDesk(t)
	d.env.SetDataConverter(converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), reverse{}))
	d.after(day, func(ctx context.Context) { wantIs(t, "Complete", d.open().Complete(ctx, Reply{"yes"}), nil) })
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "yes" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestEnvFailureConverter: a failure arrives as the hub has encoded it, and
// what the hub keeps of it stays as it is.
func TestEnvFailureConverter(t *testing.T) {
	encoding := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{EncodeCommonAttributes: true})
	d := newDesk(t)
	d.env.SetFailureConverter(encoding)
	f := encoding.ErrorToFailure(temporal.NewApplicationError("declined", "Declined"))
	before := proto.CloneOf(f)
	if f.GetEncodedAttributes() == nil || f.GetMessage() == "declined" {
		t.Fatalf("the failure isn't encoded: %v", f)
	}
	d.after(day, func(ctx context.Context) {
		wantIs(t, "Complete", d.completer.Complete(ctx, d.target(d.open().Callback), async.Outcome{Failure: f, Mark: "f"}), nil)
	})
	d.env.ExecuteWorkflow(d.One)
	if failed, ok := errors.AsType[*temporal.ApplicationError](d.env.GetWorkflowError()); !ok || failed.Message() != "declined" || failed.Type() != "Declined" {
		t.Errorf("the workflow ended with %v", d.env.GetWorkflowError())
	}
	if !proto.Equal(f, before) {
		t.Errorf("the outcome was changed: %v, it was %v", f, before)
	}
}

// TestEnvActivityNeverTimesOut pins what EnvCompleter's documentation says of
// the environment.
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

// TestEnvNoMark: an outcome without a mark is nobody's.
func TestEnvNoMark(t *testing.T) {
	d := newDesk(t)
	d.after(day, func(ctx context.Context) {
		first := d.target(d.open().Callback)
		wantIs(t, "Complete", d.completer.Complete(ctx, first, result("")), nil)
		if s, err := d.completer.Describe(ctx, first, ""); err != nil || s.End != async.EndOther {
			t.Errorf("described as %v, %v, want end %v", s, err, async.EndOther)
		}
	})
	d.env.ExecuteWorkflow(d.One)
}

func TestEnvCompleterContract(t *testing.T) {
	d := newDesk(t)
	d.after(day, func(ctx context.Context) {
		first := d.target(d.open().Callback)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, beat := d.completer.Heartbeat(ended, first, nil)
		_, describe := d.completer.Describe(ended, first, "")
		wantIs(t, "Complete", d.completer.Complete(ended, first, result("r")), context.Canceled)
		wantIs(t, "Heartbeat", beat, context.Canceled)
		wantIs(t, "Describe", describe, context.Canceled)

		wantIs(t, "a cancellation", d.completer.Complete(ctx, first, async.Outcome{Canceled: new(commonpb.Payloads)}), async.ErrCancelNotRequested)
		wantIs(t, "by ID", d.completer.Complete(ctx, first.ByID(), result("r")), async.ErrRefused)
		foreign := first
		foreign.TaskToken = []byte("of another kind")
		if err := d.completer.Complete(ctx, foreign, result("r")); err == nil || errors.Is(err, async.ErrOver) {
			t.Errorf("a token that isn't the environment's: %v, want its error", err)
		}

		details := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("half")}}}
		if _, err := d.completer.Heartbeat(ctx, first, details); err != nil {
			t.Errorf("Heartbeat: %v", err)
		}
		s, err := d.completer.Describe(ctx, first.ByID(), "r")
		if err != nil || !s.Pending || !s.Running || !s.Started.Equal(first.Started) || s.Details != details || s.LastHeartbeat.IsZero() {
			t.Errorf("described as %v, %v, details %v, last beat %v", s, err, s.Details, s.LastHeartbeat)
		}
		payload, err := converter.GetDefaultDataConverter().ToPayloads(Reply{"yes"})
		wantIs(t, "ToPayloads", err, nil)
		wantIs(t, "the first", d.completer.Complete(ctx, first, async.Outcome{Result: payload, Mark: "r"}), nil)
		wantIs(t, "the second", d.completer.Complete(ctx, first, result("r2")), async.ErrOver)
		_, beat = d.completer.Heartbeat(ctx, first, nil)
		wantIs(t, "a heartbeat", beat, async.ErrOver)
		for mark, want := range map[string]async.End{"r": async.EndOurs, "r2": async.EndOther, "": async.EndOther} {
			if s, err := d.completer.Describe(ctx, first, mark); err != nil || s.Pending || s.End != want {
				t.Errorf("described with mark %q as %v, %v, want end %v", mark, s, err, want)
			}
		}
	})
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "yes" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestActivityEnvironment pins what docs/testing.md says of the SDK's
// environment of an activity.
func TestActivityEnvironment(t *testing.T) {
	completer := new(asynctest.Completer)
	d := &desk{t: t, hub: asynctest.NewHub(t, async.Options{Completer: completer})}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(d.Ask)
	for range 2 {
		if v, err := env.ExecuteActivity(d.Ask); err != activity.ErrResultPending || v != nil {
			t.Fatalf("ExecuteActivity returned %v, %v, want the bare activity.ErrResultPending", v, err)
		}
	}
	waiting := asynctest.Pending(t, d.hub)
	if len(waiting) != 2 || waiting[0].ID() != d.asked[0] || waiting[1].ID() != d.asked[1] {
		t.Fatalf("%d wait, want 2, in the order in which they were started", len(waiting))
	}
	if a, b := waiting[0].Info(), waiting[1].Info(); a.ActivityID == b.ActivityID || a.RunID != b.RunID || a.WorkflowID == "" || a.Namespace != "default-test-namespace" {
		t.Errorf("the environment's IDs: %+v and %+v", a, b)
	}
	wantIs(t, "Reject", waiting[0].Reject(t.Context(), errors.New("no")), nil)
	if taken := completer.Completed(); len(taken) != 1 || string(taken[0].Target.TaskToken) != "default-test-run-id#"+waiting[0].Info().ActivityID {
		t.Errorf("taken: %v, by the token %q", taken, taken[0].Target.TaskToken)
	}
}

func TestStandaloneActivityEnvironment(t *testing.T) {
	completer := new(asynctest.Completer)
	d := &desk{t: t, hub: asynctest.NewHub(t, async.Options{Completer: completer})}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment().SetExecuteActivitiesInWorkflow(false)
	env.RegisterActivity(d.Ask)
	if _, err := env.ExecuteActivity(d.Ask); err != activity.ErrResultPending {
		t.Fatalf("ExecuteActivity returned %v", err)
	}
	wantIs(t, "Complete", d.open().Complete(t.Context(), Reply{"yes"}), nil)
	if taken := completer.Completed(); len(taken) != 1 || !taken[0].Target.Standalone() || taken[0].Target.ActivityRunID == "" {
		t.Errorf("taken: %v", taken)
	}
}
