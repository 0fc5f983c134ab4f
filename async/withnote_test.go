package async_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// actions are an operator's actions on a waiting activity, or on an activity
// with an outcome that Temporal refuses.
var actions = map[string]struct {
	settled bool
	do      func(ctx context.Context, p async.Pending[Decision]) error
}{
	"Complete": {false, func(ctx context.Context, p async.Pending[Decision]) error {
		return p.Complete(ctx, Decision{Approved: true})
	}},
	"Fail": {false, func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("lost")) }},
	"Reject": {false, func(ctx context.Context, p async.Pending[Decision]) error {
		return p.Reject(ctx, errors.New("no"))
	}},
	"ReportCanceled": {false, func(ctx context.Context, p async.Pending[Decision]) error { return p.ReportCanceled(ctx) }},
	"Abandon":        {false, func(ctx context.Context, p async.Pending[Decision]) error { return p.Abandon(ctx) }},
	"Abandon, of an accepted outcome": {true, func(ctx context.Context, p async.Pending[Decision]) error {
		return p.Abandon(ctx)
	}},
	"Retry": {true, func(ctx context.Context, p async.Pending[Decision]) error { return p.Retry(ctx) }},
}

// A process that stops after any number of writes leaves both the note and the
// action, or neither.
func TestWithNoteIsOneWrite(t *testing.T) {
	for name, action := range actions {
		t.Run(name, func(t *testing.T) {
			for stopAfter := range 3 {
				in(t, func(t *testing.T) { stopsAfter(t, stopAfter, action.settled, action.do) })
			}
		})
	}
}

func stopsAfter(t *testing.T, writes int, settled bool, do func(context.Context, async.Pending[Decision]) error) {
	f := &faulty{Store: store.NewMemory()}
	w := newWorld(t, func(o *async.Options) { o.Store = f })
	p := w.open(w.start(1, async.StartOptions{}))
	w.change(func(r *record.Record) { r.CancelRequested = true })
	if settled {
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrRefused }
		wantNil(t, p.Complete(t.Context(), Decision{}))
	}
	p = w.open(p.ID())
	_, before := w.stored()
	left, changed := writes, false
	f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
		if left--; left < 0 {
			return 0, errors.New("the process has stopped")
		}
		changed = true
		return f.Store.Put(ctx, e)
	}
	err := do(async.WithNote(t.Context(), vote("ada")), p)
	after := w.record()
	acted := after.State != before.State || after.Delivery.GetNext() != before.Delivery.GetNext()
	noted := slices.ContainsFunc(after.Notes, func(n *record.Note) bool { return n.By == "ada" })
	if acted != noted || acted != changed {
		t.Errorf("stopped after %d writes: acted %v, noted %v", writes, acted, noted)
	}
	if (err == nil) != acted {
		t.Errorf("stopped after %d writes: the error is %v, acted %v", writes, err, acted)
	}
	f.put = nil
	wantNil(t, do(async.WithNote(t.Context(), vote("ada")), p)) // another process repeats the call
	if n := len(w.record().Notes); n != 1 {
		t.Errorf("stopped after %d writes, and repeated: %d notes, want 1", writes, n)
	}
}

// A call that changes nothing adds no note.
func TestWithNoteOfARepeat(t *testing.T) {
	for name, action := range actions {
		if action.settled {
			continue
		}
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.open(w.start(1, async.StartOptions{}))
				w.change(func(r *record.Record) { r.CancelRequested = true })
				wantNil(t, action.do(t.Context(), p))
				wantNil(t, action.do(async.WithNote(t.Context(), vote("ada")), p))
				if n := len(w.record().Notes); n != 0 {
					t.Errorf("a repeat has added %d notes, want none", n)
				}
			})
		})
	}
}

// A note that cannot be added prevents the call.
func TestWithNotePrevents(t *testing.T) {
	for name, action := range actions {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.open(w.start(1, async.StartOptions{}))
				for n := range 256 {
					wantNil(t, p.Note(t.Context(), async.Note{Kind: "k", By: fmt.Sprint(n)}))
				}
				w.change(func(r *record.Record) { r.CancelRequested = true })
				if action.settled {
					w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrRefused }
					wantNil(t, p.Complete(t.Context(), Decision{}))
				}
				entry, _ := w.stored()
				wantErr(t, action.do(async.WithNote(t.Context(), vote("ada")), p), async.ErrJournalFull)
				wantErr(t, action.do(async.WithNote(t.Context(), async.Note{Kind: "k", By: strings.Repeat("x", 20_000)}), p), async.ErrInvalidArgument)
				if now, _ := w.stored(); now.Version != entry.Version {
					t.Error("the call has changed the entry")
				}
			})
		})
	}
}
