package answers

import (
	"context"
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

var errBroken = errors.New("errBroken")

// timedOut waits until the first attempt has timed out and the next one is in
// backoff for an hour.
func timedOut(t *testing.T, w *world) (run interface {
	GetID() string
	GetRunID() string
	Get(ctx context.Context, value any) error
}, p async.Pending[Decision]) {
	t.Helper()
	o := patient()
	o.StartToCloseTimeout = brief
	r := w.Start(awaitDecision, o)
	p = w.next()
	w.AwaitPending(r, "back-off", rig.BackOff(2))
	return r, p
}

func TestAnswerInBackOffArrivesAtOnce(t *testing.T) {
	w := newWorld(t, config{})
	run, p := timedOut(t, w)
	must(t, p.Complete(w.Context(), approved))
	var got Decision
	if err := run.Get(w.Context(), &got); err != nil || got != approved {
		t.Errorf("the workflow read %+v, %v", got, err)
	}
	w.wantState(p, async.Closed)
}

func TestFailureInBackOffWaitsForTheNextAttempt(t *testing.T) {
	w := newWorld(t, config{})
	run, p := timedOut(t, w)
	info := w.Next()
	must(t, p.Reject(w.Context(), errBroken))
	if i := w.wantState(p, async.Settled); i.LastError != "no attempt to fail" {
		t.Errorf("the last error is %q", i.LastError)
	}
	w.Reset(info) // the next attempt begins now
	if err := asFailed(t, run.Get(w.Context(), nil)); err.Message() != errBroken.Error() {
		t.Errorf("the workflow got %v, want the rejection", err)
	}
	w.none()
	if i := w.becomes(p, async.Closed); !i.Delivered || !i.Started.After(info.StartedTime) {
		t.Errorf("the callback tells %+v, want that it was delivered to the next attempt", i)
	}
}

func TestSettledIsDeliveredByTheNextStart(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w *world, p async.Pending[Decision]) error{
		"result":  func(w *world, p async.Pending[Decision]) error { return p.Complete(w.Context(), approved) },
		"failure": func(w *world, p async.Pending[Decision]) error { return p.Reject(w.Context(), errBroken) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{})
			run := w.Start(awaitDecision, expiring())
			p := w.next()
			w.completer.set(true, nil) // Temporal cannot be reached
			must(t, answer(w, p))
			w.wantState(p, async.Settled)
			w.completer.set(false, nil)
			var got Decision
			err := run.Get(w.Context(), &got)
			if name == "result" && (err != nil || got != approved) {
				t.Errorf("the workflow read %+v, %v", got, err)
			}
			if name == "failure" {
				asFailed(t, err)
			}
			w.none()
			w.becomes(p, async.Closed)
		})
	}
}

func TestFailureBeginsARoundAndItsRepeatFailsNobody(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, quick())
	first := w.next()
	must(t, first.Fail(w.Context(), errBroken))
	second := w.next()
	if first.ID() == second.ID() {
		t.Error("the new round has the old callback ID")
	}
	must(t, first.Fail(w.Context(), errBroken)) // the sender repeats its answer
	wantErr(t, first.Complete(w.Context(), approved), async.ErrSettled)
	w.wantPending(run, 2)
	must(t, second.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.none()
}

// The server accepts the failure, and the reply is lost. Without protection,
// this interleaving fails two attempts with one answer.
func TestFailureWhoseReplyWasLostFailsOneAttempt(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, quick())
	first := w.next()
	w.completer.set(false, lose)
	must(t, first.Fail(w.Context(), errBroken))
	w.completer.set(false, nil)
	second := w.next()
	if first.ID() == second.ID() {
		t.Error("the new round has the old callback ID")
	}
	w.wantPending(run, 2)
	must(t, first.Fail(w.Context(), errBroken))
	must(t, second.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.none()
}

func TestResultWhoseReplyWasLost(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	// The client's own retry of a call whose reply was lost gets NotFound.
	w.completer.set(false, func(error) error { return completer.ErrOver })
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	rig.Eventually(t, "evidence", func() bool {
		info := w.open(p.ID()).Info()
		// While the event is buffered, the entry stays settled. Then the hub
		// finds its own mark.
		return info.State == async.Closed && info.Delivered || info.LastError == "ended, not yet in history"
	})
}

// The entry has the later attempt's token, so the answer is delivered by that
// token. A delivery by ID would work too.
func TestLaterAttemptTakesOver(t *testing.T) {
	w := newWorld(t, config{})
	o := quick()
	o.StartToCloseTimeout = brief
	run := w.Start(awaitDecision, o)
	first, second := w.next(), w.next()
	if first.ID() != second.ID() {
		t.Errorf("attempts of one round have the callback IDs %v and %v, want one", first, second)
	}
	must(t, first.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	if c := w.completer; c.sent != 1 || c.byID != 0 {
		t.Errorf("sent %d times, %d of them by ID, want once by token", c.sent, c.byID)
	}
}

func TestOnceAsksOnce(t *testing.T) {
	w := newWorld(t, config{start: async.StartOptions{Once: true}})
	run := w.Start(awaitDecision, expiring())
	p := w.next()
	w.Next()
	w.Next() // a second attempt
	w.Next() // a third
	w.none()
	rig.Eventually(t, "the attempt's token", func() bool { return w.open(p.ID()).Info().Attempt >= 3 })
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// A reset sets the attempt's number back, and Temporal no longer knows the old
// token.
func TestResetWhileItRuns(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, quick())
	info := w.Next()
	must(t, w.next().Fail(w.Context(), errBroken))
	w.Next()
	p := w.next()
	w.Reset(info)
	w.wantPending(run, 1)
	// Temporal refuses a failure with the old token. By ID, the failure reaches
	// the same attempt.
	must(t, p.Fail(w.Context(), errBroken))
	w.wantState(p, async.Closed)
	third := w.Next()
	if third.Attempt != 2 {
		t.Errorf("after the reset comes attempt %d, want 2", third.Attempt)
	}
	q := w.next()
	if q.ID() == p.ID() {
		t.Error("the new round has the old callback ID")
	}
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// After a reset, the next attempt has a lower number than the one before, and
// is nevertheless the later one.
func TestLowerNumberIsLater(t *testing.T) {
	w := newWorld(t, config{})
	o := patient()
	o.StartToCloseTimeout = brief
	run := w.Start(awaitDecision, o)
	info := w.Next()
	p := w.next()
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	w.Reset(info)
	if again := w.Next(); again.Attempt != 1 {
		t.Fatalf("after the reset comes attempt %d, want 1", again.Attempt)
	}
	q := w.next()
	if q.ID() != p.ID() {
		t.Error("an attempt without an outcome began a round")
	}
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestPausedActivityTakesItsAnswer(t *testing.T) {
	w := newWorld(t, config{})
	o := patient()
	o.ScheduleToCloseTimeout = soon
	run := w.Start(awaitDecision, o)
	info := w.Next()
	p := w.next()
	w.Pause(info)
	rig.Eventually(t, "the deadline", func() bool { return time.Now().After(info.ScheduledTime.Add(soon + time.Second)) })
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestTimedOutForGood(t *testing.T) {
	w := newWorld(t, config{})
	o := patient()
	o.StartToCloseTimeout = brief
	o.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
	run := w.Start(awaitDecision, o)
	p := w.next()
	if err := run.Get(w.Context(), nil); err == nil {
		t.Fatal("the workflow has a result")
	}
	wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, async.ErrExpired)
	wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed)
	if info := w.wantState(p, async.Closed); info.Delivered || !errors.Is(info.End, async.ErrExpired) {
		t.Errorf("the callback tells %+v", info)
	}
}

func TestTerminatedWorkflow(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	must(t, w.Client.TerminateWorkflow(w.Context(), run.GetID(), run.GetRunID(), "a test"))
	wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, completer.ErrOver)
}

func TestAnsweredByAnother(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	info := w.Next()
	p := w.next()
	must(t, w.Client.CompleteActivity(w.Context(), info.TaskToken, Decision{By: "Bob"}, nil))
	rig.Eventually(t, "the event", func() bool { return w.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED) != nil })
	wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, completer.ErrOver)
	w.wantResult(run, Decision{By: "Bob"})
}

func TestCompletesTwice(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	must(t, p.Complete(w.Context(), approved))
	must(t, p.Complete(w.Context(), approved))
	wantErr(t, p.Complete(w.Context(), Decision{}), async.ErrSettled)
	wantErr(t, p.Fail(w.Context(), errBroken), async.ErrSettled)
	w.wantResult(run, approved)
	must(t, p.Complete(w.Context(), approved))
	if w.completer.sent != 1 {
		t.Errorf("sent %d times, want once", w.completer.sent)
	}
}

func TestAnsweredBeforeTheActivityReturns(t *testing.T) {
	w := newWorld(t, config{during: func(ctx context.Context, w *world, p async.Pending[Decision]) error {
		if err := p.Complete(ctx, approved); err != nil {
			return err
		}
		return errBroken // too late: an answer was accepted
	}})
	run := w.Start(awaitDecision, patient())
	w.wantResult(run, approved)
	w.wantState(w.next(), async.Closed)
}
