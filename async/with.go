package async

import "github.com/latchkey-go/latchkey/store"

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
//
// Inside the transaction use no other hub. A hub on the store itself needs a second
// connection of the pool while the transaction holds one. Callers that do that at
// the same time can take all connections and wait for each other for ever.
func (h *Hub) With(s store.Store) *Hub {
	if isNilInterface(s) {
		panic("async: Hub.With needs a store, got nil")
	}
	settings := h.settings
	settings.completer = nil
	return assemble(s, settings)
}
