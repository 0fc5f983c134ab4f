package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// The details that came last are sent before the outcome: the next attempt
// resumes from them.
func TestLastDetailsArriveBeforeTheOutcome(t *testing.T) {
	answers := map[string]func(ctx context.Context, p async.Pending[Decision]) error{
		"result":  func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) },
		"failure": func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("no")) },
	}
	for name, answer := range answers {
		for class, beatErr := range map[string]error{"taken": nil, "over": completer.ErrOver, "not started": completer.ErrNotStarted, "refused": completer.ErrRefused, "away": errors.New("away")} {
			t.Run(name+", "+class, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, s := newBeatWorld(t)
					s.beatErr = beatErr
					w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
						if beatErr == nil && s.lastSaid() != "99%" {
							t.Errorf("the outcome comes when Temporal has %q, want 99%%", s.lastSaid())
						}
						return nil
					}
					p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
					wantNil(t, p.Heartbeat(t.Context(), "99%"))
					wantNil(t, answer(t.Context(), p))
					if class == "away" {
						w.wantSent(0)
						s.set(func(s *server) { s.beatErr, beatErr = nil, nil })
						runHub(t, w.hub)
						pass(10 * time.Second)
					}
					w.wantSent(1)
					if calls := s.made(); calls > 2 {
						t.Errorf("%d beats before the outcome, want one", calls)
					}
				})
			})
		}
	}
	t.Run("nothing new", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := newBeatWorld(t)
			runHub(t, w.hub)
			p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
			wantNil(t, p.Heartbeat(t.Context(), "99%"))
			pass(5 * time.Second)
			before := s.made()
			wantNil(t, p.Complete(t.Context(), Decision{}))
			pass(time.Second)
			if s.made() != before {
				t.Error("details were sent again before the outcome, that Temporal has")
			}
			if r := w.record(); len(r.Details) != 0 {
				t.Error("a closed entry keeps its heartbeat details")
			}
		})
	})
}

// What an earlier attempt's outside brought isn't sent before the outcome over
// what this attempt's function has recorded since.
func TestOutcomeSendsNoOlderDetails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		wantNil(t, w.open(id).Heartbeat(t.Context(), "10%")) // no hub runs to send it
		w.startNow(2, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			s.record("by the function")
			return nil
		})
		wantNil(t, w.open(id).Fail(t.Context(), errors.New("no")))
		w.wantSent(1)
		if s.made() != 0 || s.lastSaid() != "by the function" {
			t.Errorf("%d beats before the outcome, and Temporal has %q, want what the function recorded", s.made(), s.lastSaid())
		}
	})
}

// An attempt whose token Temporal no longer takes is left in peace: after a
// reset the token may be another's.
func TestNoDetailsForALostAttemptBeforeTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		s.beatErr = completer.ErrOver
		runHub(t, w.hub)
		p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
		pass(12 * time.Second)
		calls := s.made()
		wantErr(t, p.Heartbeat(t.Context(), "99%"), async.ErrReset)
		wantNil(t, p.Complete(t.Context(), Decision{}))
		if s.made() != calls {
			t.Error("a beat was sent with a token that Temporal no longer takes")
		}
	})
}

// A later activity of the same key takes over: beats go to it, and what the
// outside had brought.
func TestKeyTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		id := w.startNow(1, 30*time.Second, async.StartOptions{Key: "order-7"}, nil)
		wantNil(t, w.open(id).Heartbeat(t.Context(), "50%"))
		pass(12 * time.Second)
		s.set(func(s *server) {
			s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }
		})
		second := attemptNow(2, 30*time.Second)
		second.ScheduledTime = scheduled.Add(time.Minute)
		err := async.StartAttempt(t.Context(), w.hub, second, async.StartOptions{Key: "order-7"}, func(context.Context, async.Pending[Decision]) error {
			s.set(func(s *server) { s.describe, s.beats, s.details, s.last = nil, nil, nil, time.Time{} })
			return nil
		})
		if err == nil || w.record().State != record.Waiting {
			t.Fatalf("Start of the second activity returned %v", err)
		}
		pass(12 * time.Second)
		beats := s.taken()
		if len(beats) == 0 || beats[0].token != "token-2" || beats[0].details != "50%" {
			t.Errorf("the beats are %v, want the new activity's, with the progress of the same job", beats)
		}
	})
}
