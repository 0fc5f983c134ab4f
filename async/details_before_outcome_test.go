package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// TestLastDetailsArriveBeforeTheOutcome: the newest details are sent before the
// outcome, so that the next attempt resumes from them.
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

// TestNoDetailsForALostAttemptBeforeTheOutcome: no beat is sent with a token
// that Temporal no longer accepts, because a reset may have given it to another
// attempt.
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

// TestDetailsDoNotBlockTheOutcome: an outcome is delivered although Temporal
// never accepts its details.
func TestDetailsDoNotBlockTheOutcome(t *testing.T) {
	for name, change := range map[string]func(s *server){
		"that are refused for ever": func(s *server) { s.beatErr = serviceerror.NewResourceExhausted(0, "message larger than max") },
		"that hang":                 func(s *server) { s.slow = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				// The call takes a while, as a call of the SDK does.
				w.completer.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
					select {
					case <-time.After(4 * time.Second):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				change(s)
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				wantNil(t, p.Heartbeat(t.Context(), "90%"))
				wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
				w.wantState(async.Settled) // the hub tried once, with the details
				runHub(t, w.hub)
				pass(30 * time.Second)
				w.wantState(async.Closed)
				w.wantSent(1)
			})
		})
	}
}

// TestDetailsWaitForAnAttemptThatTakesThem: if no attempt runs to take the details,
// the next one sends them before the failure.
func TestDetailsWaitForAnAttemptThatTakesThem(t *testing.T) {
	for name, c := range map[string]struct {
		beatErr error
		before  string
	}{
		"no beat before": {completer.ErrOver, ""},
		"over":           {completer.ErrOver, "40% "},
		"not started":    {completer.ErrNotStarted, "40% "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				tries := 0
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { tries++; return completer.ErrOver }
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				if c.before != "" {
					wantNil(t, p.Heartbeat(t.Context(), "40%"))
					pass(2 * time.Second)
					w.work(w.hub)
				}
				s.beatErr = c.beatErr
				s.describe = func(s *completer.Status) { s.Running, s.Started = false, time.Time{} }
				wantNil(t, p.Heartbeat(t.Context(), "90%"))
				wantNil(t, p.Fail(t.Context(), errors.New("no")))
				w.wantState(async.Settled)
				if tries != 1 {
					t.Errorf("the failure was tried %d times although nobody takes its details, want once", tries)
				}
				s.beatErr, s.describe = nil, nil
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
					if s.lastSaid() != "90%" {
						t.Errorf("the failure comes when Temporal has %q, want 90%%", s.lastSaid())
					}
					return nil
				}
				if id := w.startNow(2, 30*time.Second, async.StartOptions{}, nil); id != "" {
					t.Error("the outside was asked again, although it had answered")
				}
				if beats := s.taken(); s.said() != c.before+"90%" || beats[len(beats)-1].token != "token-2" {
					t.Errorf("the beats are %v, want the last to be the second attempt's with 90%%", beats)
				}
				w.wantSent(1)
			})
		})
	}
}

// TestDetailsGoToTheirOwnAttemptOnly: a reset may give a token to another
// attempt. Therefore no beat is sent until it is known which attempt runs, and
// no beat overwrites newer details of the function.
func TestDetailsGoToTheirOwnAttemptOnly(t *testing.T) {
	for name, c := range map[string]struct {
		later func(s *server)
		beats int
	}{
		"it runs": {func(*server) {}, 1},
		"the next runs": {func(s *server) {
			s.describe = func(s *completer.Status) { s.Started = s.Started.Add(time.Second) }
		}, 0},
		"back-off": {func(s *server) {
			s.describe = func(s *completer.Status) { s.Running, s.Started = false, time.Time{} }
		}, 0},
		"the function recorded since": {func(s *server) {
			ps := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("newer")}}}
			s.details, s.last = ps, time.Now()
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				away := errors.New("away")
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return away }
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				wantNil(t, p.Heartbeat(t.Context(), "40%"))
				pass(2 * time.Second)
				w.work(w.hub)
				s.beatErr = away
				wantNil(t, p.Heartbeat(t.Context(), "90%"))
				wantNil(t, p.Fail(t.Context(), errors.New("no")))
				pass(10 * time.Second)
				s.set(func(s *server) { s.beatErr = nil; c.later(s) })
				calls := s.made()
				w.work(w.hub)
				if n := s.made() - calls; n != c.beats {
					t.Errorf("%d beats before the failure, want %d: %v", n, c.beats, s.taken())
				}
			})
		})
	}
}

// TestRefusedLookBeforeTheDetailsIsNoRefusalOfTheOutcome: if Temporal refuses
// the question which attempt runs, the outcome is delivered without details.
// The hook Refused is not called.
func TestRefusedLookBeforeTheDetailsIsNoRefusalOfTheOutcome(t *testing.T) {
	for name, answer := range map[string]func(t *testing.T, w *world, s *server, p async.Pending[Decision]){
		"by who answers": func(t *testing.T, _ *world, s *server, p async.Pending[Decision]) {
			s.set(func(s *server) { s.lookErr = completer.ErrRefused })
			wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
		},
		"by a hub that runs": func(t *testing.T, w *world, s *server, p async.Pending[Decision]) {
			settler, err := async.New(async.Options{Store: w.store})
			wantNil(t, err)
			q, err := async.Open[Decision](t.Context(), settler, p.ID())
			wantNil(t, err)
			wantNil(t, q.Complete(t.Context(), Decision{Approved: true}))
			s.set(func(s *server) { s.lookErr = completer.ErrRefused })
			w.work(w.hub)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := new(hookCalls)
				w, s := newBeatWorld(t, func(opts *async.Options) { opts.Hooks = o.hooks() })
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				wantNil(t, p.Heartbeat(t.Context(), "90%"))
				answer(t, w, s, p)
				w.wantSent(1)
				w.wantState(async.Closed)
				if n := s.made(); n != 0 {
					t.Errorf("%d beats for an attempt of which nobody knows whether it runs, want none", n)
				}
				w.work(w.hub)
				o.want(t, "delivered")
			})
		})
	}
}
