package asynctest

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// NewHub returns a hub for one test. Where o has no Store it gets one in
// memory, which is closed when the test ends; where it has no Completer it
// gets a [Completer] of its own, which takes everything. A wrong option ends
// the test.
//
// The hub doesn't run: an answer is delivered within the call that gives it,
// unless that takes longer than Options.DeliveryWait, and everything else that is due, such as a delivery that failed at first or
// a hook, when the test calls Work. A test that looks at what was delivered
// brings its own Completer; one of a hub that settles only calls async.New.
func NewHub(t testing.TB, o async.Options) *async.Hub {
	t.Helper()
	made := o.Store == nil
	if made {
		o.Store = store.NewMemory()
	}
	if o.Completer == nil {
		o.Completer = new(Completer)
	}
	h, err := async.New(o)
	if err != nil {
		t.Fatalf("asynctest.NewHub: %v", err)
	}
	if made {
		t.Cleanup(func() {
			if err := o.Store.Close(); err != nil {
				t.Errorf("asynctest.NewHub: the store didn't close: %v", err)
			}
		})
	}
	return h
}

// Pending returns the callbacks that wait for an answer, those that were
// started first at the front, and those of one instant by their ID. Answered
// ones are not among them, delivered or not. An error of the store ends the
// test, as does an entry that can't be read.
//
// It reads the whole store, which makes it a tool for tests. The outside knows
// a callback by the ID that it was given.
func Pending(t testing.TB, h *async.Hub) []async.Callback {
	t.Helper()
	waiting, err := pending(t.Context(), h)
	if err != nil {
		t.Fatalf("asynctest.Pending: what waits could not be listed: %v", err)
	}
	return waiting
}

func pending(ctx context.Context, h *async.Hub) ([]async.Callback, error) {
	var waiting []async.Callback
	for c, err := range h.List(ctx) {
		if err != nil {
			return nil, err
		}
		if c.Info().State == async.Waiting {
			waiting = append(waiting, c)
		}
	}
	slices.SortFunc(waiting, func(a, b async.Callback) int {
		ai, bi := a.Info(), b.Info()
		return cmp.Or(ai.Created.Compare(bi.Created), cmp.Compare(ai.ID, bi.ID))
	})
	return waiting, nil
}
