package store

import (
	"context"

	"github.com/latchkey-go/latchkey/store/internal/wake"
)

// The interfaces of this file are optional: a backend implements those that it
// can implement well. A method that cannot serve the call, for example because
// of the options of the store, returns an error for which errors.Is finds
// errors.ErrUnsupported. Callers treat a method that returns this error as
// missing. A store that wraps another store passes the interfaces of that store
// on.

// WatchAhead is one minute: a [Notifier] does not signal a write that makes an
// entry due later than that.
const WatchAhead = wake.Ahead

// Pager reads entries in one fixed order, a page at a time.
type Pager interface {
	// Page returns up to n entries whose IDs follow after in the store's order.
	// The empty string precedes every ID. The order is fixed for the life of
	// the store. The order is the byte order of the IDs, unless the backend
	// documents another one. The entry with the ID after may be gone. n must be
	// at least 1.
	//
	// A page may have fewer than n entries while more follow, because a backend
	// ends it near MaxClaim bytes of bodies. Only an empty page is the last
	// one. An entry that exists throughout is on exactly one page; other
	// entries may be missing. Each entry has its state at the time when its
	// page was read.
	//
	// A page leaves out damaged entries. For a page with damaged entries, Page
	// returns an error for which errors.Is finds ErrCorrupt, together with the
	// entries that it could read. Any other error comes without entries.
	Page(ctx context.Context, after string, n int) ([]Entry, error)
}

// Counter counts entries.
type Counter interface {
	// Count returns the number of entries, including damaged ones. Count must
	// be cheap, and read no entries. A backend that estimates large numbers
	// documents the estimate. Writes that run at the same time may or may not
	// count.
	Count(ctx context.Context) (int, error)
}

// Notifier signals when an entry becomes due, so that hubs need not poll often.
// Signals are hints: they may come late, be merged, be lost, or come without a
// reason. A hub also polls, so a lost signal costs the time until its next
// poll.
type Notifier interface {
	// Watch returns a channel of signals. A signal follows soon after a write
	// whose Due is at most WatchAhead later than the writer's clock. The write
	// is a Put or a Claim through any handle to the data. A Put that makes an entry due
	// at once always sends a signal. Other writes send at most one signal a
	// second.
	//
	// The channel is closed when ctx ends, when the store is closed, and when the
	// backend cannot watch any longer. A caller may then call Watch again.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// Limiter is a store that accepts only smaller bodies than MaxStored. Options
// of package async depend on the limit of a Limiter.
type Limiter interface {
	// MaxBody returns the size, in bytes, of the largest Body that Put accepts.
	// It never changes. Put returns ErrInvalid for a larger Body.
	MaxBody() int
}
