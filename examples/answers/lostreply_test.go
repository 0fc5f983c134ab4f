package answers

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// The server accepts a retryable failure, and its reply is lost. The settler
// gets the answer to the SDK's own retry of the call: the attempt is over, and
// the next one runs. Without protection, this fails two attempts with one
// answer.
func TestFailureWhoseRetryFindsTheNextAttempt(t *testing.T) {
	t.Parallel()
	t.Run("before its Start", func(t *testing.T) {
		hooks := newTellings()
		g := newGate()
		g.options = quick()
		w := newWorld(t, config{register: g.register, hub: running(hooks)})
		run := w.Start("gated")
		p := w.next()
		w.completer.set(false, func(error) error {
			awaitClosed(t, g.in)
			return completer.ErrOver
		})
		must(t, p.Fail(w.Context(), errBroken))
		w.completer.set(false, nil)
		if i := w.wantState(p, async.Closed); !i.Delivered {
			t.Errorf("the callback tells %+v, want that it was delivered", i)
		}
		close(g.release)
		w.oneFailed(run, p, hooks)
	})
	t.Run("which has asked", func(t *testing.T) {
		hooks := newTellings()
		var calls atomic.Int32
		asked := make(chan struct{})
		w := newWorld(t, config{hub: running(hooks), during: func(context.Context, *world, async.Pending[Decision]) error {
			if calls.Add(1) == 2 {
				close(asked)
			}
			return nil
		}})
		run := w.Start(awaitDecision, quick())
		p := w.next()
		w.completer.set(false, func(error) error {
			awaitClosed(t, asked)
			return completer.ErrOver
		})
		must(t, p.Fail(w.Context(), errBroken))
		w.completer.set(false, nil)
		w.oneFailed(run, p, hooks)
	})
}

// oneFailed checks that the failure of p was delivered to one attempt, and that
// the second one can be answered.
func (w *world) oneFailed(run client.WorkflowRun, p async.Pending[Decision], hooks tellings) {
	w.t.Helper()
	q := w.next()
	if q.ID() == p.ID() {
		w.t.Error("the new round has the old callback ID")
	}
	w.run()
	hooks.next(w.t, "delivered", p.Callback, nil)
	w.wantPending(run, 2)
	must(w.t, p.Fail(w.Context(), errBroken)) // the sender repeats its answer
	w.wantPending(run, 2)
	must(w.t, q.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.none()
}

// ends are failures that end an activity permanently. The server wraps a
// failure over 4 KiB in a failure of its own, and keeps that as the last
// failure.
var ends = map[string]struct {
	attempts int32 // maximum number of attempts; 0 is no limit
	answer   func(ctx context.Context, p async.Pending[Decision]) error
}{
	"rejected":              {answer: func(ctx context.Context, p async.Pending[Decision]) error { return p.Reject(ctx, errBroken) }},
	"rejected, large":       {answer: func(ctx context.Context, p async.Pending[Decision]) error { return p.Reject(ctx, errLarge) }},
	"the last attempt's":    {attempts: 1, answer: func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errBroken) }},
	"the last one's, large": {attempts: 1, answer: func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errLarge) }},
}

var errLarge = errors.New(strings.Repeat("errBroken ", 600))

// retries returns the retry policy for these failures. An activity that is
// retried waits until after the end of the test.
func retries(attempts int32) *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: time.Hour, MaximumAttempts: attempts}
}

// A failure ends the activity, and the reply is lost: Run finds that this
// failure ended the activity.
func TestLostReplyToALastFailureIsFoundByRun(t *testing.T) {
	t.Parallel()
	for name, c := range ends {
		t.Run(name+", in a workflow", func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{hub: running(hooks)})
			o := patient()
			o.RetryPolicy = retries(c.attempts)
			run := w.Start(awaitDecision, o)
			p := w.next()
			w.completer.set(false, lose)
			must(t, c.answer(w.Context(), p))
			asFailed(t, run.Get(w.Context(), nil))
			w.foundDelivered(p, hooks)
			must(t, c.answer(w.Context(), p))
		})
		t.Run(name+", standalone", func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{hub: running(hooks)})
			h := w.StartActivity(client.StartActivityOptions{RetryPolicy: retries(c.attempts)})
			p := w.next()
			w.completer.set(false, lose)
			must(t, c.answer(w.Context(), p))
			if err := h.Get(w.Context(), nil); err == nil {
				t.Error("the activity has a result")
			}
			w.foundDelivered(p, hooks)
			must(t, c.answer(w.Context(), p))
		})
	}
}

// If the failure is retried, it is the last failure of the pending activity,
// and Run finds it too.
func TestLostReplyToALargeFailureIsFoundByRun(t *testing.T) {
	t.Parallel()
	t.Run("in a workflow", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		run := w.Start(awaitDecision, patient())
		p := w.next()
		w.completer.set(false, lose)
		must(t, p.Fail(w.Context(), errLarge))
		w.AwaitPending(run, "back-off", rig.BackOff(2))
		w.foundDelivered(p, hooks)
		w.wantPending(run, 2)
	})
	t.Run("standalone", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		h := w.StartActivity(client.StartActivityOptions{RetryPolicy: retries(0)})
		p := w.next()
		w.completer.set(false, lose)
		must(t, p.Fail(w.Context(), errLarge))
		w.awaitAttempt(h, 2)
		w.foundDelivered(p, hooks)
		w.awaitAttempt(h, 2)
	})
}

// foundDelivered makes Run check an outcome whose reply was lost. Run must find
// that the outcome was delivered, and send nothing more.
func (w *world) foundDelivered(p async.Pending[Decision], hooks tellings) {
	w.t.Helper()
	if i := w.wantState(p, async.Settled); i.LastError != "unavailable" {
		w.t.Errorf("the last error is %q, want that of a call that failed", i.LastError)
	}
	w.completer.set(false, nil)
	w.run()
	hooks.next(w.t, "delivered", p.Callback, nil)
	if i := w.wantState(p, async.Closed); !i.Delivered || i.End != nil {
		w.t.Errorf("the callback tells %+v, want that it was delivered", i)
	}
	hooks.none(w.t)
	if w.completer.sent != 1 {
		w.t.Errorf("sent %d times, want once", w.completer.sent)
	}
}

// Since the activity was scheduled, history has grown by more than one page.
func TestLostReplyIsFoundPagesBack(t *testing.T) {
	const events = 300
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	for range events {
		must(t, w.Client.SignalWorkflow(w.Context(), run.GetID(), run.GetRunID(), "nothing", nil))
	}
	w.completer.set(false, lose)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	scheduled := w.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED).GetEventId()
	completed := w.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED).GetEventId()
	if completed-scheduled < events {
		t.Errorf("%d events lie between, want %d at least", completed-scheduled, events)
	}
	w.completer.set(false, nil)
	w.run()
	hooks.next(t, "delivered", p.Callback, nil)
	if i := w.wantState(p, async.Closed); !i.Delivered {
		t.Errorf("the callback tells %+v, want that it was delivered", i)
	}
}

// The cancellation is accepted and its reply is lost. Run finds the
// cancellation in history.
func TestLostReplyToACancellation(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	must(t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID()))
	w.AwaitPending(run, "the request", func(p *workflowpb.PendingActivityInfo) bool {
		return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
	})
	w.completer.set(false, lose)
	must(t, p.ReportCanceled(w.Context(), "as you wish"))
	w.completer.set(false, nil)
	w.run()
	hooks.next(t, "delivered", p.Callback, nil)
	if err := run.Get(w.Context(), nil); !temporal.IsCanceledError(err) {
		t.Errorf("the workflow ended with %v, want a cancellation", err)
	}
	wantErr(t, p.Complete(w.Context(), approved), async.ErrSettled)
}
