package async_test

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// TestHubWithSettlesOnly answers through a hub on another store, which stands
// for a transaction. That hub sends nothing, and the running hub delivers the
// written answer at once.
func TestHubWithSettlesOnly(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.pendFor(time.Hour, async.StartOptions{}).ID()
		var written []store.Entry // entries that are written but not yet committed
		tx := &faulty{Store: w.store, put: func(_ context.Context, e store.Entry) (uint64, error) {
			written = append(written, e)
			return e.Version + 1, nil
		}}
		p, err := async.Open[Decision](t.Context(), w.hub.With(tx), id)
		wantNil(t, err)
		wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
		w.wantState(async.Waiting)
		w.wantSent(0)
		if len(written) != 1 {
			t.Fatalf("Complete wrote %d entries, want 1", len(written))
		}
		if due := written[0].Due; due.After(time.Now()) {
			t.Errorf("the settled entry is due at %v, want at once: now is %v", due, time.Now())
		}

		_, err = w.store.Put(t.Context(), written[0]) // the commit
		wantNil(t, err)
		w.wantState(async.Settled)
		w.work(w.hub)
		w.wantSent(1)
		w.wantState(async.Closed)
	})
}

// TestHubWithKnowsNoCancellation: on a hub from With, ReportCanceled does not
// ask Temporal whether cancellation was requested.
func TestHubWithKnowsNoCancellation(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.pendFor(time.Hour, async.StartOptions{}).ID()
		c, err := w.hub.With(w.store).Open(t.Context(), id)
		wantNil(t, err)
		wantErr(t, c.ReportCanceled(t.Context()), completer.ErrCancelNotRequested)
		w.wantState(async.Waiting)
	})
}

func TestHubWithRefusesNil(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("With(nil): got no panic, want one")
		}
	}()
	newWorld(t).hub.With(nil)
}

// After a hub that only settles has ended an entry, a running hub calls the
// hooks.
func TestHubWithNotifies(t *testing.T) {
	in(t, func(t *testing.T) {
		w, o := hooked(t)
		id := w.start(1, async.StartOptions{})
		p, err := async.Open[Decision](t.Context(), w.hub.With(w.store), id)
		wantNil(t, err)
		wantNil(t, p.Abandon(t.Context()))
		w.work(w.hub)
		o.want(t, "over")
		wantErr(t, o.why, async.ErrAbandoned)
	})
}
