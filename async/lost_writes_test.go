package async_test

import (
	"context"
	"errors"
	"testing"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// A driver repeats a write whose reply was lost, and gets a conflict with its
// own first try. The hub must not treat this as a write of another process.
func TestLostWriteIsRecognized(t *testing.T) {
	f := &faulty{Store: store.NewMemory()}
	f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
		if _, err := f.Store.Put(ctx, e); err != nil {
			return 0, err
		}
		_, err := f.Store.Put(ctx, e)
		return 0, err
	}
	w := newWorld(t, func(o *async.Options) { o.Store = f })
	id := w.start(1, async.StartOptions{})
	if id == "" {
		t.Fatal("nobody was asked: Start took its own insert for another's")
	}
	if r := w.record(); r.HandedOffStarted != r.Started {
		t.Error("the hand-off wasn't recorded")
	}
	p := w.open(id)
	wantNil(t, p.Remember(t.Context(), "job"))
	wantNil(t, p.Complete(t.Context(), Decision{}))
	w.wantSent(1)
	w.wantState(async.Closed)
	if tries := w.record().Delivery.Tries; tries != 1 {
		t.Errorf("%d tries are recorded, want 1", tries)
	}
}

func TestWriteOfUnknownFate(t *testing.T) {
	broken := errors.New("connection reset")
	for name, written := range map[string]bool{"before the write": false, "after the write": true} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{Store: store.NewMemory()}
			w := newWorld(t, func(o *async.Options) { o.Store = f })
			breakIt := func() {
				f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
					if written {
						f.Store.Put(ctx, e)
					}
					return 0, broken
				}
			}
			breakIt()
			asked := false
			err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
				asked = true
				return nil
			})
			wantErr(t, err, broken)
			if asked {
				t.Error("the outside was asked, although it wasn't known whether the entry is kept")
			}
			f.put = nil
			id := w.start(1, async.StartOptions{})
			if id == "" {
				t.Fatal("the same attempt didn't ask on its second try")
			}
			breakIt()
			wantErr(t, w.open(id).Complete(t.Context(), Decision{Approved: true}), broken)
			f.put = nil
			wantNil(t, w.open(id).Complete(t.Context(), Decision{Approved: true}))
			if written {
				// The first call has settled the outcome. This call is its
				// repeat, and the outcome is due when the claim expires.
				w.wantState(async.Settled)
				if again := w.start(2, async.StartOptions{}); again != "" {
					t.Error("asked again")
				}
			}
			w.wantSent(1)
		})
	}
}

func TestHandOffThatCantBeRecorded(t *testing.T) {
	f := &faulty{Store: store.NewMemory()}
	w := newWorld(t, func(o *async.Options) { o.Store = f })
	err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
		f.put = func(context.Context, store.Entry) (uint64, error) { return 0, errors.New("away") }
		return nil
	})
	if err != activity.ErrResultPending {
		t.Errorf("Start returned %v: the outside has been asked, and can answer", err)
	}
	f.put = nil
	if id := w.start(1, async.StartOptions{}); id == "" {
		t.Error("nobody was heard to ask, and the same attempt didn't")
	}
}

func TestEndlessConflicts(t *testing.T) {
	f := &faulty{Store: store.NewMemory()}
	w := newWorld(t, func(o *async.Options) { o.Store = f })
	p := w.open(w.start(1, async.StartOptions{}))
	f.put = func(context.Context, store.Entry) (uint64, error) { return 0, store.ErrConflict }
	for name, err := range map[string]error{
		"complete": p.Complete(t.Context(), Decision{}),
		"remember": p.Remember(t.Context(), "x"),
		"start": async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			return nil
		}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Another process changes the entry after the delivery and before the delivery
// is recorded.
func TestConclusionMeetsAnotherWriter(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	w.completer.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
		return w.open(id).Remember(ctx, "job-3")
	}
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	w.wantState(async.Closed)
	if ref := w.open(id).Reference(); ref != "job-3" {
		t.Errorf("the reference is %q: the other write was lost", ref)
	}
}

func TestRememberIsKeptAcrossAttempts(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	wantNil(t, w.open(id).Remember(t.Context(), "job-3"))
	err := async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
		if p.Reference() != "job-3" {
			t.Errorf("the second attempt finds reference %q, want job-3", p.Reference())
		}
		return nil
	})
	if err != activity.ErrResultPending {
		t.Fatal(err)
	}
	before, _ := w.stored()
	wantNil(t, w.open(id).Remember(t.Context(), "job-3"))
	if after, _ := w.stored(); after.Version != before.Version {
		t.Error("remembering the same again wrote")
	}
	wantNil(t, w.open(id).Remember(t.Context(), ""))
	if ref := w.open(id).Reference(); ref != "" {
		t.Errorf("forgotten, the reference is %q", ref)
	}
}
