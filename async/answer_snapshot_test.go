package async_test

import (
	"context"
	"errors"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// newGets is a world that counts the reads of its store.
func newGets(t *testing.T) (w *world, gets *int) {
	t.Helper()
	gets = new(int)
	f := &faulty{Store: store.NewMemory()}
	f.get = func(ctx context.Context, id string) (store.Entry, error) {
		*gets++
		return f.Store.Get(ctx, id)
	}
	return newWorld(t, func(o *async.Options) { o.Store = f }), gets
}

// TestAnswerReadsOnce: a hub settles an answer on the entry that Open read, and
// does not read the entry again.
func TestAnswerReadsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		gets   int
		answer func(p async.Pending[Decision]) error
	}{
		"result":  {1, func(p async.Pending[Decision]) error { return p.Complete(t.Context(), Decision{Approved: true}) }},
		"failure": {1, func(p async.Pending[Decision]) error { return p.Fail(t.Context(), errors.New("no")) }},
		// ReportCanceled reads the entry again, because cancellation may have
		// been requested after Open.
		"cancellation": {2, func(p async.Pending[Decision]) error { return p.ReportCanceled(t.Context()) }},
	} {
		t.Run(name, func(t *testing.T) {
			w, gets := newGets(t)
			w.completer.DescribeFunc = cancelRequested
			id := w.start(1, async.StartOptions{})
			*gets = 0
			p := w.open(id)
			wantNil(t, c.answer(p))
			if *gets != c.gets {
				t.Errorf("to open and to answer reads the store %d times, want %d", *gets, c.gets)
			}
			w.wantSent(1)
			w.wantState(async.Closed)
			if i := p.Info(); i.State != async.Waiting || i.Outcome != "" {
				t.Errorf("the callback tells %v with outcome %q, want it as of when it was opened: waiting, none", i.State, i.Outcome)
			}
			// A caller with the same value succeeds, although it read an old
			// version of the entry.
			wantNil(t, c.answer(p))
			w.wantSent(1)
		})
	}
}

// If the entry has changed since Open, the hub reads the entry again. The new
// state then decides the result of the call.
func TestAnswerOnAnOldSnapshot(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, w *world, id string)
		want      error
		sent      int
		token     string
	}{
		"nothing": {func(*testing.T, *world, string) {}, nil, 1, "token-1"},
		"a reference": {func(t *testing.T, w *world, id string) {
			wantNil(t, w.open(id).Remember(t.Context(), "job-7"))
		}, nil, 1, "token-1"},
		"the next attempt": {func(_ *testing.T, w *world, _ string) { w.start(2, async.StartOptions{}) }, nil, 1, "token-2"},
		"the same answer": {func(t *testing.T, w *world, id string) {
			wantNil(t, w.open(id).Complete(t.Context(), Decision{Approved: true}))
		}, nil, 1, "token-1"},
		"another answer": {func(t *testing.T, w *world, id string) {
			wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
		}, async.ErrSettled, 1, "token-1"},
		"the round is over": {func(_ *testing.T, w *world, _ string) { w.startOtherType(2) }, async.ErrSuperseded, 0, ""},
		"it was abandoned": {func(t *testing.T, w *world, id string) {
			wantNil(t, w.open(id).Abandon(t.Context()))
		}, async.ErrClosed, 0, ""},
		"another type": {func(_ *testing.T, w *world, _ string) {
			w.change(func(r *record.Record) { r.ResultType = "another" })
		}, async.ErrTypeMismatch, 0, ""},
		"it is gone": {func(t *testing.T, w *world, _ string) {
			e, _ := w.stored()
			wantNil(t, w.store.Delete(t.Context(), e.ID, e.Version))
		}, async.ErrNotFound, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newGets(t)
			id := w.start(1, async.StartOptions{})
			p := w.open(id)
			c.meanwhile(t, w, id)
			err := p.Complete(t.Context(), Decision{Approved: true})
			if !errors.Is(err, c.want) {
				t.Errorf("Complete returned %v, want %v", err, c.want)
			}
			if calls := w.wantSent(c.sent); c.sent > 0 && string(calls[0].Target.TaskToken) != c.token {
				t.Errorf("the result was sent to %q, want %q", calls[0].Target.TaskToken, c.token)
			}
			if name == "a reference" && w.record().Reference != "job-7" {
				t.Errorf("the reference is %q, want job-7: the snapshot has overwritten it", w.record().Reference)
			}
		})
	}
}

// If Open read a settled entry that has ended since, a repeat returns how the
// entry ended.
func TestRepeatOnAnOldSnapshot(t *testing.T) {
	w, _ := newGets(t)
	w.completer.CompleteFunc = unavailable
	id := w.start(1, async.StartOptions{})
	wantNil(t, w.open(id).Complete(t.Context(), Decision{Approved: true}))
	p := w.open(id)
	wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
	wantNil(t, w.open(id).Abandon(t.Context()))
	wantErr(t, p.Complete(t.Context(), Decision{Approved: true}), async.ErrClosed, async.ErrAbandoned)
}

// The entry that the hub reads belongs to a later round than the callback.
func TestAnswerOfAnOlderRound(t *testing.T) {
	w, _ := newGets(t)
	first := w.start(1, async.StartOptions{})
	w.startOtherType(2)
	wantErr(t, w.open(first).Complete(t.Context(), Decision{}), async.ErrSuperseded)
	w.wantSent(0)
	w.wantState(async.Waiting)
}
