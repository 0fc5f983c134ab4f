package answers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// downStore is a store that cannot be reached while it is down.
type downStore struct {
	store.Store
	down atomic.Bool
}

var errDown = errors.New("the store is down")

func (d *downStore) Get(ctx context.Context, id string) (store.Entry, error) {
	if d.down.Load() {
		return store.Entry{}, store.Wrap("get", "down", id, errDown)
	}
	return d.Store.Get(ctx, id)
}

func (d *downStore) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if d.down.Load() {
		return 0, store.Wrap("put", "down", e.ID, errDown)
	}
	return d.Store.Put(ctx, e)
}

// takenThenDown makes its store unreachable when Temporal has accepted an
// outcome.
type takenThenDown struct {
	completer.Completer
	store *downStore
}

func (c *takenThenDown) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	err := c.Completer.Complete(ctx, t, o)
	if err == nil && o.Failure != nil {
		c.store.down.Store(true)
	}
	return err
}

// Temporal accepted a failure, and the store became unreachable before this was
// recorded. The following attempt also could not start, so Temporal's last
// failure is a different one. The third attempt asks again, and the failure
// does not fail it.
func TestFailureIsSpent(t *testing.T) {
	s := &downStore{Store: store.NewMemory()}
	hooks := newTellings()
	w := newWorld(t, config{hub: func(o *async.Options) {
		running(hooks)(o)
		o.Store, o.Completer = s, &takenThenDown{o.Completer, s}
	}})
	o := quick()
	o.StartToCloseTimeout = 10 * time.Second
	o.RetryPolicy.InitialInterval = time.Second
	run := w.Start(awaitDecision, o)
	first := w.next()
	must(t, first.Fail(w.Context(), errBroken))
	w.Next() // the first
	w.Next() // the second attempt, whose Start fails
	w.Next()
	s.down.Store(false)
	second := w.next()
	if first.ID() == second.ID() {
		t.Error("the new round has the old callback ID")
	}
	p := w.Pending(run)
	if p == nil || p.GetAttempt() < 3 || p.GetLastFailure().GetMessage() == errBroken.Error() {
		t.Errorf("pending is %v, want the third attempt or a later one, and the one before it failed for the store", p)
	}
	must(t, first.Fail(w.Context(), errBroken)) // a repeat
	w.run()
	hooks.next(t, "over", first.Callback, async.ErrUnknownEnd)
	must(t, second.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}
