package store

import (
	"context"

	"github.com/latchkey-go/latchkey/store/internal/wake"
)

// The interfaces of this file are optional: a backend implements those that it
// can implement well. A type that has the method but can't serve the call, for
// example because of the options it was opened with, returns an error for which
// errors.Is(err, errors.ErrUnsupported) is true. Callers treat that as a missing
// method. A store that wraps another store passes these interfaces on.

// WatchAhead is how far ahead a [Notifier] looks: one minute. A write that makes
// an entry due later than that is not signaled.
const WatchAhead = wake.Ahead

// Pager reads entries in one fixed order, a page at a time.
type Pager interface {
	// Page returns up to n entries that follow the ID after; the empty string
	// stands before the first. The order is fixed for the life of the store: it
	// is the byte order of the IDs, unless the backend documents another one.
	// There may be no entry with the ID after any more.
	//
	// A page may have fewer than n entries while more follow, because a backend
	// stops near MaxClaim bytes of bodies. Only an empty page is the last one.
	// Entries that are there throughout are on exactly one page; others may be
	// missing. Each entry is read when its page is.
	//
	// A page leaves damaged entries out and goes on behind them. It then returns
	// an error for which errors.Is(err, ErrCorrupt) is true, together with the
	// entries that it could read. Any other error comes without entries. A count
	// below one is ErrInvalid.
	Page(ctx context.Context, after string, n int) ([]Entry, error)
}

// Counter counts entries.
type Counter interface {
	// Count returns the number of entries, damaged ones included. It costs next
	// to nothing: it reads no entries. A backend may estimate large numbers, and
	// documents that. Writes that run at the same time may or
	// may not be counted.
	Count(ctx context.Context) (int, error)
}

// Notifier wakes those that wait for an entry to become due, so that they need
// not poll often. Signals are hints: they may come late, be merged, be lost, or
// come without reason. A caller polls as well, and a lost signal costs it the
// time until its next poll, nothing else.
type Notifier interface {
	// Watch returns a channel that receives a signal soon after a Put or a Claim,
	// by any handle to the data, makes an entry due within WatchAhead of the
	// writer's clock. A Put that makes an entry due at once is always signaled.
	// The others are signaled once a second at most.
	//
	// The channel is closed when ctx ends, when the store is closed, and when the
	// backend can't watch any longer.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// Limiter is a store that takes only smaller bodies than MaxStored.
type Limiter interface {
	// MaxBody returns how large a Body may be, in bytes. It is always the same.
	// Put returns ErrInvalid for a larger one.
	MaxBody() int
}
