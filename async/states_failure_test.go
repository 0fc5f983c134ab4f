package async_test

import (
	"context"
	"errors"
	"testing"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

func TestSettledIsDeliveredByTheNextStart(t *testing.T) {
	for name, answer := range map[string]func(p async.Pending[Decision]) error{
		"result":  func(p async.Pending[Decision]) error { return p.Complete(t.Context(), Decision{Approved: true}) },
		"failure": func(p async.Pending[Decision]) error { return p.Fail(t.Context(), errors.New("no")) },
		"reject":  func(p async.Pending[Decision]) error { return p.Reject(t.Context(), errors.New("never")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			gone := true
			w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
				if gone {
					return errAway
				}
				return nil
			}
			id := w.start(1, async.StartOptions{})
			wantNil(t, answer(w.open(id)))
			w.wantState(async.Settled)
			if info := w.open(id).Info(); info.LastError != "unavailable" || info.Deliveries != 1 || info.NextDelivery.IsZero() {
				t.Errorf("the callback tells %+v", info)
			}
			gone = false
			if again := w.start(2, async.StartOptions{}); again != "" {
				t.Error("the outside was asked again, although it had answered")
			}
			call := w.wantSent(1)[0]
			if string(call.Target.TaskToken) != "token-2" {
				t.Errorf("sent to %q, want token-2", call.Target.TaskToken)
			}
			w.wantState(async.Closed)
			wantNil(t, answer(w.open(id)))
			if again := w.start(2, async.StartOptions{}); again != "" {
				t.Error("a duplicate of the attempt asked again")
			}
		})
	}
}

// Temporal accepted a failure, and the reply was lost. The failure must not
// also fail the attempt that follows it.
func TestFailureWhoseReplyWasLostFailsOneAttempt(t *testing.T) {
	w := newWorld(t)
	lost := true
	taken := 0
	mark := ""
	w.completer.CompleteFunc = func(_ context.Context, _ completer.Target, o completer.Outcome) error {
		taken++
		mark = o.Mark
		if lost {
			return errAway
		}
		return nil
	}
	w.completer.DescribeFunc = func(_ context.Context, tg completer.Target, _ string) (completer.Status, error) {
		return completer.Status{Pending: true, Running: true, Started: attempt(2).StartedTime, LastMark: mark}, nil
	}
	first := w.start(1, async.StartOptions{})
	wantNil(t, w.open(first).Fail(t.Context(), errors.New("declined")))
	lost = false
	second := w.start(2, async.StartOptions{})
	if taken != 1 {
		t.Errorf("the failure was sent %d times, want once", taken)
	}
	if second == "" || second == first {
		t.Errorf("the second attempt asked with %q, want a new ID", second)
	}
	wantNil(t, w.open(first).Fail(t.Context(), errors.New("declined")))
	w.wantState(async.Waiting)
	// The process crashed between the evidence and the new round, and the same
	// attempt calls Start again.
	wantNil(t, w.open(second).Complete(t.Context(), Decision{}))
}

// A failure may have been sent, and attempts may have followed that no process
// knows. The running attempt asks, and the failure is not sent again.
func TestSpentFailure(t *testing.T) {
	for name, c := range map[string]struct {
		attempt int32 // the number of the attempt
		mark    bool  // Temporal's last failure has this failure's mark
		reject  bool
		asks    bool
		told    string
	}{
		"the next attempt, another failure":     {2, false, false, false, "delivered"},
		"the next attempt, this failure":        {2, true, false, true, "delivered"},
		"one after that, another failure":       {3, false, false, true, "over"},
		"one after that, this failure":          {3, true, false, true, "delivered"},
		"after a reset, another failure":        {1, false, false, true, "over"},
		"one after that, a rejection":           {3, false, true, false, "delivered"},
		"after a reset, a rejection":            {1, false, true, false, "delivered"},
		"the next attempt, and it is rejection": {2, false, true, false, "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w, o := hooked(t)
				w.completer.CompleteFunc = unavailable
				first := w.start(1, async.StartOptions{})
				answer := w.open(first).Fail
				if c.reject {
					answer = w.open(first).Reject
				}
				wantNil(t, answer(t.Context(), errors.New("declined")))
				w.completer.CompleteFunc = nil
				info := attempt(3)
				info.Attempt = c.attempt
				mark := w.record().Outcome.Mark
				w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
					s := completer.Status{Pending: true, Running: true, Started: info.StartedTime}
					if c.mark {
						s.LastMark = mark
					}
					return s, nil
				}
				asked := ""
				err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
					asked = p.ID()
					return nil
				})
				if err != activity.ErrResultPending || (asked != "") != c.asks || asked == first {
					t.Fatalf("Start returned %v and asked with %q, want it asked: %t, under a new ID", err, asked, c.asks)
				}
				if c.asks {
					w.wantSent(0)
				} else {
					w.wantSent(1)
				}
				w.work(w.hub)
				o.want(t, c.told)
				if c.told == "over" {
					wantErr(t, o.why, async.ErrUnknownEnd)
				}
				wantNil(t, answer(t.Context(), errors.New("declined"))) // a repeat changes nothing
			})
		})
	}
}

// An attempt whose function does not run must not be left waiting: it fails,
// and the function of the next attempt runs.
func TestAttemptFailsWhileItCannotBeToldWhetherToAsk(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = unavailable
		w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
			return completer.Status{}, errAway
		}
		id := w.start(1, async.StartOptions{})
		wantNil(t, w.open(id).Fail(t.Context(), errors.New("declined")))
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
			t.Error("sent, although it wasn't known whether the attempt before had taken it")
			return nil
		}
		err := async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			t.Error("asked again")
			return nil
		})
		if err == nil || err == activity.ErrResultPending {
			t.Errorf("Start returned %v, want an error that is retried", err)
		}
		w.wantState(async.Settled)
		// Start waits for a temporary fault to end.
		calls := 0
		w.completer.DescribeFunc = func(_ context.Context, _ completer.Target, mark string) (completer.Status, error) {
			if calls++; calls < 3 {
				return completer.Status{}, errAway
			}
			return completer.Status{Pending: true, Running: true, Started: attempt(3).StartedTime, LastMark: mark}, nil
		}
		if again := w.start(3, async.StartOptions{}); again == "" || again == id {
			t.Errorf("asked with %q, want a new round", again)
		}
	})
}

// A reset has renumbered the attempt, so that its failure is delivered by ID.
// Start of the same attempt does not treat the failure as one of the previous
// attempt.
func TestFailureByIDIsThisAttempts(t *testing.T) {
	w := newWorld(t)
	w.completer.CompleteFunc = unavailable
	id := w.start(1, async.StartOptions{})
	wantNil(t, w.open(id).Reject(t.Context(), errors.New("no")))
	w.completer.CompleteFunc = func(_ context.Context, tg completer.Target, _ completer.Outcome) error {
		if tg.TaskToken != nil {
			return completer.ErrOver
		}
		return nil
	}
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
		return completer.Status{Pending: true, Running: true, Started: attempt(2).StartedTime}, nil
	}
	if again := w.start(2, async.StartOptions{}); again != "" {
		t.Error("the attempt that was just failed asked")
	}
	w.wantSent(1)
	w.wantState(async.Closed)
}
