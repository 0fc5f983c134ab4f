package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// One call by key settles at most one round. The test loses the store's reply
// to an accepted write, and the driver's repeat meets the key's next round. The
// call must not report another caller's answer.
func TestOneCallByKeySettlesOneRound(t *testing.T) {
	secondAttempt := run("w", 0)
	secondAttempt.Attempt, secondAttempt.StartedTime = 2, secondAttempt.StartedTime.Add(time.Minute)
	secondAttempt.TaskToken = []byte("w/a/2")
	for name, c := range map[string]struct {
		early  bool
		answer func(ctx context.Context, p async.Pending[Decision]) error
		next   activity.Info // the round of this activity begins meanwhile
		reply  error
	}{
		"a failure, the next attempt":     {false, func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("no")) }, secondAttempt, store.ErrConflict},
		"a result, the next activity":     {false, func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) }, run("w", 1), store.ErrConflict},
		"a rejection, the next activity":  {false, func(ctx context.Context, p async.Pending[Decision]) error { return p.Reject(ctx, errors.New("no")) }, run("w", 1), store.ErrConflict},
		"an early one, the next activity": {true, func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) }, run("w", 1), store.ErrExists},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &faulty{Store: store.NewMemory()}
				w := newWorld(t, func(o *async.Options) { o.Store = f })
				hub, err := async.New(async.Options{Store: f.Store, Completer: w.completer})
				wantNil(t, err)
				other := &world{t: t, store: f.Store, completer: w.completer, hub: hub}
				o := async.KeyOptions{Namespace: "default"}
				if c.early {
					o.Early = time.Hour
				} else {
					other.mustKeyed(run("w", 0))
				}
				p := w.openKey(o)
				lost, second := false, ""
				f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
					r, err := async.DecodeRecord(e)
					wantNil(t, err)
					version, err := f.Store.Put(ctx, e)
					if lost || r.State != record.Settled {
						return version, err
					}
					wantNil(t, err)
					lost = true
					if c.early {
						other.mustKeyed(run("w", 0)) // delivers the early result
					} else {
						time.Sleep(11 * time.Second) // the claim has expired
						other.work(hub)
					}
					w.wantSent(1)
					second = other.mustKeyed(c.next)
					return 0, c.reply
				}
				wantNil(t, c.answer(t.Context(), p))
				if !lost || second == "" {
					t.Fatal("no round has begun meanwhile")
				}
				w.wantSent(1)
				w.wantState(async.Waiting)
				// The next call answers the current round.
				wantNil(t, c.answer(t.Context(), w.openKey(o)))
				w.wantState(async.Closed)
				if calls := w.wantSent(2); string(calls[1].Target.TaskToken) != string(c.next.TaskToken) {
					t.Errorf("the second answer was sent to %q, want %q", calls[1].Target.TaskToken, c.next.TaskToken)
				}
			})
		})
	}
}

// If the write of an outcome conflicts, the call offers the outcome again, to
// the current round.
func TestConflictByKeyIsTriedAgain(t *testing.T) {
	f := &faulty{Store: store.NewMemory()}
	w := newWorld(t, func(o *async.Options) { o.Store = f })
	w.mustKeyed(run("w", 0))
	p := w.openKey(byKey)
	once := false
	f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
		if !once {
			once = true
			wantNil(t, w.openKey(byKey).Remember(ctx, "job-7")) // another writes
		}
		return f.Store.Put(ctx, e)
	}
	wantNil(t, p.Complete(t.Context(), Decision{}))
	w.wantSent(1)
	w.wantState(async.Closed)
}

// The reply to an accepted write is lost, and the round ends without the outcome.
// The call then settles the next round of its key, with another mark: a mark
// distinguishes an outcome from an equal one.
func TestCallByKeyAfterItsRoundWasDropped(t *testing.T) {
	f := &faulty{Store: store.NewMemory()}
	w := newWorld(t, func(o *async.Options) { o.Store = f })
	w.describes(completer.Status{End: completer.EndOther})
	hub, err := async.New(async.Options{Store: f.Store, Completer: w.completer})
	wantNil(t, err)
	other := &world{t: t, store: f.Store, completer: w.completer, hub: hub}
	other.mustKeyed(run("w", 0))
	p := w.openKey(async.KeyOptions{Namespace: "default"})
	var marks []string
	f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
		r, err := async.DecodeRecord(e)
		wantNil(t, err)
		version, err := f.Store.Put(ctx, e)
		if r.State != record.Settled {
			return version, err
		}
		if marks = append(marks, r.Outcome.Mark); len(marks) == 1 {
			other.mustKeyed(run("w", 1))
			return 0, store.ErrConflict
		}
		return version, err
	}
	wantNil(t, p.Complete(t.Context(), Decision{}))
	w.wantSent(1)
	if len(marks) != 2 || marks[0] == marks[1] {
		t.Errorf("the outcomes of two rounds have the marks %q, want two different marks", marks)
	}
}
