package asynctest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// NewHub returns a hub for one test. Without o.Store the hub gets a store in
// memory, which is closed when the test ends. Without o.Completer, the hub gets
// a [Completer] of its own, which accepts everything. A wrong option ends the
// test. Options.DeliveryWait defaults to one minute, so that the result of a
// test does not depend on the speed of the machine.
//
// The hub does not run in the background. The hub delivers an answer within the
// call that gives it, unless the delivery takes longer than
// Options.DeliveryWait. Everything else that is due, such as a second delivery
// or a hook, happens when the test calls Work. A test that checks deliveries
// passes its own Completer. For a hub that only accepts outcomes, call
// async.New.
func NewHub(t testing.TB, o async.Options) *async.Hub {
	t.Helper()
	made := o.Store == nil
	if made {
		o.Store = store.NewMemory()
	}
	if o.Completer == nil {
		o.Completer = new(Completer)
	}
	o.DeliveryWait = cmp.Or(o.DeliveryWait, time.Minute)
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

// Pending returns the callbacks that wait for an answer, the oldest first.
// Callbacks of the same instant are ordered by ID. Pending leaves out answered
// callbacks, delivered or not. An error of the store, or an unreadable entry,
// ends the test.
//
// Pending reads the whole store, so it is for tests only. An external system
// uses the callback ID that it was given and does not need Pending.
func Pending(t testing.TB, h *async.Hub) []async.Callback {
	t.Helper()
	waiting, err := pending(t.Context(), h)
	if err != nil {
		t.Fatalf("asynctest.Pending: could not list the entries: %v", err)
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
