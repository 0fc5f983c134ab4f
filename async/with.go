package async

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// With returns a hub that reads and writes through s, and settles only. Its
// other options are those of h. Use it where s is h's store within a transaction
// of the application, as store/postgres has it: the application's own row and
// the answer are then written together, or not at all.
//
//	p, err := async.Open[Decision](ctx, hub.With(s.Tx(tx)), id)
//	err = p.Complete(ctx, decision)
//
// The hub has no completer: nothing is sent to Temporal before the transaction
// commits. A hub that runs on the same store delivers the outcome then. For
// the same reason ReportCanceled returns ErrCancelNotRequested unless the store
// knows of a request for cancellation already. A callback belongs to the hub
// that opened it, so open it with this one. The hub is of no use after the
// transaction has ended. With panics if s is nil.
func (h *Hub) With(s store.Store) *Hub {
	if isNilInterface(s) {
		panic("async: Hub.With needs a store, got nil")
	}
	rules := h.rules
	rules.CanAsk = false
	with := &Hub{
		entries: entries{store: s, retention: h.retention, keepOutcomes: h.keepOutcomes, log: h.log}, encoder: h.encoder, hooks: h.hooks, claimTime: h.claimTime,
		pollInterval: h.pollInterval, concurrency: h.concurrency, pumps: h.pumps, rules: rules,
		wake: make(chan struct{}, 1), // who runs on the store learns of it by the store
		soon: soon{span: max(h.pollInterval/busyPoll, time.Millisecond)},
	}
	with.census.age = h.census.age
	with.init(h.courier.wait)
	return with
}
