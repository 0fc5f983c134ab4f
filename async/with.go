package async

import "github.com/latchkey-go/latchkey/store"

// With returns a hub that reads and writes through s, and only settles. The
// returned hub otherwise has the options of h. Use With if s is h's store
// within a transaction of the application, as in store/postgres. The
// application's own row and the answer are then written together, or not at
// all.
//
//	p, err := async.Open[Decision](ctx, hub.With(s.Tx(tx)), id)
//	err = p.Complete(ctx, decision)
//
// The returned hub has no completer, so nothing is sent to Temporal before the
// transaction commits. After the commit, a running hub on the same store
// delivers the outcome. For the same reason, ReportCanceled returns
// ErrCancelNotRequested unless the store already knows of a request for
// cancellation. A callback belongs to the hub that opened it, so open the
// callback with the returned hub. Do not use the returned hub after the
// transaction has ended. With panics if s is nil.
//
// Use no other hub inside the transaction. A hub on the store itself needs a
// second connection of the pool while the transaction holds one. Callers that
// do this at the same time can take all connections and block each other
// forever.
func (h *Hub) With(s store.Store) *Hub {
	if isNilInterface(s) {
		panic("async: Hub.With needs a store, got nil")
	}
	settings := h.settings
	settings.completer = nil
	return assemble(s, settings)
}
