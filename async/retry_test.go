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

func TestRetryDeliversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrCallRefused }
		id := w.start(1, async.StartOptions{})
		wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
		w.completer.CompleteFunc = nil
		if n, err := w.hub.Work(t.Context()); n != 0 || err != nil {
			t.Fatalf("%d entries were due, %v, want none: the next try is in minutes", n, err)
		}
		wantNil(t, w.open(id).Retry(t.Context()))
		_, err := w.hub.Work(t.Context())
		wantNil(t, err)
		w.wantSent(1)
		w.wantState(async.Closed)
		wantNil(t, w.open(id).Retry(t.Context())) // delivered
	})
}

func TestRetryCallsHooksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		w := newWorld(t, func(o *async.Options) {
			o.Hooks.Delivered = func(context.Context, async.Callback) error {
				if calls++; calls < 5 {
					return errors.New("the database is away")
				}
				return nil
			}
		})
		id := w.start(1, async.StartOptions{})
		wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
		for range 4 {
			_, err := w.hub.Work(t.Context())
			wantNil(t, err)
			time.Sleep(10 * time.Second)
		}
		if i := w.open(id).Info(); i.HookTries != 4 || len(i.Hooks) != 1 || i.Hooks[0] != "Delivered" || i.Class != "hook" || i.NextHook.IsZero() {
			t.Fatalf("Info is %+v", i)
		}
		wantNil(t, w.open(id).Retry(t.Context()))
		_, err := w.hub.Work(t.Context())
		wantNil(t, err)
		if i := w.open(id).Info(); calls != 5 || len(i.Hooks) != 0 || i.Class != "" {
			t.Errorf("after %d calls Info is %+v", calls, i)
		}
	})
}

func TestRetryRefusesWhereNothingIsToBeTried(t *testing.T) {
	w := newWorld(t)
	wantErr(t, async.Callback{}.Retry(t.Context()), async.ErrNotFound)
	id := w.start(1, async.StartOptions{})
	wantErr(t, w.open(id).Retry(t.Context()), async.ErrNoOutcome)
	old := w.open(id)
	w.startOtherType(2)
	wantErr(t, old.Retry(t.Context()), async.ErrSuperseded)
	w.change(func(r *record.Record) {
		r.State, r.End, r.Ended = record.Closed, record.EndTimedOut, time.Now().UnixNano()
	})
	c, err := w.hub.Open(t.Context(), callbackOf(w))
	wantNil(t, err)
	wantErr(t, c.Retry(t.Context()), async.ErrClosed, async.ErrExpired)

	w = newWorld(t)
	p, err := async.OpenKey[Decision](t.Context(), w.hub, "order-7", async.KeyOptions{Namespace: "default", Early: time.Hour})
	wantNil(t, err)
	wantNil(t, p.Complete(t.Context(), Decision{}))
	before, _ := w.stored()
	p, err = async.OpenKey[Decision](t.Context(), w.hub, "order-7", async.KeyOptions{Namespace: "default", Early: time.Hour})
	wantNil(t, err)
	wantErr(t, p.Retry(t.Context()), async.ErrNotFound)
	if after, _ := w.stored(); after.Version != before.Version {
		t.Error("Retry has written to an early result")
	}
}
