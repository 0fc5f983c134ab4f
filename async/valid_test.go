package async_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// TestRecordsThatBreakAnInvariant: a record that this release could not have
// written is corrupt.
func TestRecordsThatBreakAnInvariant(t *testing.T) {
	for name, breaks := range map[string]func(r *record.Record){
		"no state":                     func(r *record.Record) { r.State = record.NoState },
		"a short secret":               func(r *record.Record) { r.Secret = r.Secret[:15] },
		"settled, nothing else":        func(r *record.Record) { r.State = record.Settled },
		"settled without a delivery":   func(r *record.Record) { r.State, r.Outcome = record.Settled, &record.Outcome{Kind: record.Result} },
		"settled without an outcome":   func(r *record.Record) { r.State, r.Delivery = record.Settled, new(record.Delivery) },
		"settled, of no kind":          func(r *record.Record) { settled(r).Outcome.Kind = record.NoKind },
		"settled without a token":      func(r *record.Record) { settled(r).TaskToken = nil },
		"waiting with an outcome":      func(r *record.Record) { settled(r).State = record.Waiting },
		"waiting without a token":      func(r *record.Record) { r.TaskToken = nil },
		"waiting and early":            func(r *record.Record) { r.Early, r.Key = true, "order-7" },
		"early without a key":          func(r *record.Record) { settled(r).Early = true },
		"closed without an end":        func(r *record.Record) { r.State = record.Closed },
		"closed, and no time":          func(r *record.Record) { r.State, r.End = record.Closed, record.EndOther },
		"delivered, and nothing was":   func(r *record.Record) { r.State, r.End, r.Ended = record.Closed, record.EndDelivered, r.Created },
		"a deadline before 1970":       func(r *record.Record) { r.Deadline = -1 },
		"a beat before 1970":           func(r *record.Record) { r.NextBeat = 999_999 },
		"a negative heartbeat timeout": func(r *record.Record) { r.HeartbeatTimeout = -1 },
		"a note without a kind":        func(r *record.Record) { r.Notes = []*record.Note{{At: r.Created}} },
		"a note without a time":        func(r *record.Record) { r.Notes = []*record.Note{{Kind: "vote"}} },
		"a negative count":             func(r *record.Record) { r.BeatTries = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				id := w.start(1, async.StartOptions{})
				w.change(breaks)
				var before store.Entry
				for e, err := range w.store.List(t.Context()) {
					wantNil(t, err)
					before = e
				}
				_, err := async.Open[Decision](t.Context(), w.hub, id)
				if !errors.Is(err, store.ErrCorrupt) && name != "a short secret" { // a short secret makes another ID
					t.Errorf("Open: %v, want ErrCorrupt", err)
				}
				for _, err := range w.hub.List(t.Context()) {
					wantErr(t, err, store.ErrCorrupt)
				}
				before.Due = time.Now() // the entry is claimed, and otherwise unchanged
				_, err = w.store.Put(t.Context(), before)
				wantNil(t, err)
				_, _ = w.hub.Work(t.Context())
				after, err := w.store.Get(t.Context(), before.ID)
				if err != nil || !bytes.Equal(after.Body, before.Body) || !after.Due.After(time.Now().Add(time.Minute)) {
					t.Errorf("after Work: due %v, %v, want the entry as it was, due much later", after.Due, err)
				}
				w.wantSent(0)
			})
		})
	}
}

func settled(r *record.Record) *record.Record {
	r.State, r.Outcome, r.Delivery = record.Settled, &record.Outcome{Kind: record.Result, Mark: "rABC"}, new(record.Delivery)
	return r
}
