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

// An outcome doesn't hang on details that Temporal never takes.
func TestDetailsDoNotBlockTheOutcome(t *testing.T) {
	for name, change := range map[string]func(s *server){
		"that are refused for ever": func(s *server) { s.beatErr = serviceerror.NewResourceExhausted(0, "message larger than max") },
		"that hang":                 func(s *server) { s.slow = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				// As an SDK's call, which takes a while itself.
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
				w.wantState(async.Settled) // tried once with its details
				runHub(t, w.hub)
				pass(30 * time.Second)
				w.wantState(async.Closed)
				w.wantSent(1)
			})
		})
	}
}

// Details that no attempt was there to take are sent by the next one, before
// the failure that it passes on.
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

// A token that a reset has given to another attempt is not beaten with, before
// it is known whose it is; nor is what the function has recorded since
// overwritten.
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

// Nor does it hang on whether Temporal may be asked whose attempt runs: that this
// is refused says nothing of the outcome, which nobody is told of.
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
				o := new(told)
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
