// Package store defines the interface of a backend that persists entries, and
// has an in-memory implementation.
//
// # Choose a store
//
// [Open] opens a store by URL. The package of its backend must be imported, as
// with drivers of database/sql:
//
//   - memory: for tests; [NewMemory] returns the same store
//   - bolt:, package store/bolt: one file, for an application of one process
//   - redis:, package store/redis: for several processes
//   - postgres:, package store/postgres, a module of its own: for several
//     processes, and for answers in a transaction of the application
//
// # Encrypt a store
//
// [Seal] returns a store that encrypts the entries of another store. [Copy]
// copies the entries of one store to another, to begin or to stop sealing, or
// to change backends.
//
// # Write a backend
//
// A store keeps bytes and one time for each [Entry]. A store does not interpret
// these bytes: package async does. The contract is the documentation of
// [Store]. [Pager], [Counter], [Notifier] and [Limiter] are optional. Package
// storetest tests a backend against the contract, and docs/backends.md is a
// guide for authors. A backend with an ordered index and conditional writes is
// about two hundred lines.
//
// # Errors
//
// Methods of a store wrap each error in an [*Error], which has the operation, the
// backend and the shortened ID. Use errors.Is with the variables of this package.
package store

import (
	"context"
	"iter"
	"time"
)

// MaxBody is the largest Body, in bytes, that package async writes: 6 MiB. A
// Body has room for a result at Temporal's blob limit and for heartbeat
// details.
const MaxBody = 6 << 20

// MaxStored is the largest Body, in bytes, that a backend accepts, unless it is
// a [Limiter]: the sum of MaxBody and 1 KiB. A store that wraps a backend may
// add up to 1 KiB to each Body, for example to encrypt it.
const MaxStored = MaxBody + 1<<10

// MaxClaim is the number of bytes of bodies, 8 MiB, at which a backend ends an
// answer of Claim. An answer always has room for one entry, whatever its size.
const MaxClaim = 8 << 20

// Entry is the data that a store keeps under an ID. The caller of Get, Claim,
// List or Page owns the Body of each entry it receives and may change it.
type Entry struct {
	// ID is 1 to 128 bytes of A-Z a-z 0-9 - _ and dot. IDs are compared byte by
	// byte. IDs of package async begin with a time, so that entries of the same
	// time are neighbors in an ordered index.
	ID string

	// Version is 0 for an entry that is not stored yet. Otherwise Version is
	// opaque, and is compared only for equality. Every Put and every Claim
	// gives the entry a new version. A store never gives an ID the same version
	// twice, not even after Delete. A store that can lose acknowledged writes,
	// for example in a failover, must not give their versions again either.
	// Random versions have that property; counters do not.
	Version uint64

	// Due is the time from which Claim returns the entry. The store keeps whole
	// milliseconds and drops the rest. The zero time means never. Any other time
	// must be after the start of 1970 and before the year 10000.
	Due time.Time

	// Body is opaque to the store. Body has at most MaxStored bytes, or fewer
	// if the store is a Limiter. Nil and empty are the same.
	Body []byte
}

// Store persists entries. Any number of goroutines may call the methods of a
// Store at the same time, in all processes that share the data.
//
// # Errors
//
// A method wraps each error exactly once in an [*Error]. errors.Is finds the
// sentinel in it, and the error of a context. For an ID, a size, a time or a
// count that the contract does not allow, a method returns [ErrInvalid] and
// changes nothing. For a damaged entry, a method returns [ErrCorrupt]. A store
// reports that an entry is absent only if it knows that the entry is absent. A
// store that cannot be reached returns another error.
//
// # Contexts
//
// A method whose context has ended before the call writes nothing and returns
// the context's error. If the context ends during the call, the method returns
// its normal result, or an error for which errors.Is finds the context's error.
// In the second case a write may or may not have taken place.
//
// # Unacknowledged writes
//
// If Put, Delete or Claim returns an error that is none of this package's
// sentinels, the write is unacknowledged: it is either fully present or absent.
// An unacknowledged Put or Delete takes effect before the same caller's next
// call for this entry returns, or never. An unacknowledged Claim takes effect
// before the same caller's next Claim returns, or never. A driver must therefore
// not keep a failed write and send it when the connection is back.
//
// A driver may send a write again by itself within the call. The second try may
// then meet the first and return ErrExists or ErrConflict, so callers must
// compare the Body before they believe these errors. The second try must not
// undo writes that other callers made between the two tries.
//
// # Damaged entries
//
// Get, Put and Delete return ErrCorrupt for a damaged entry, and change
// nothing. A backend that still knows the version may replace or delete the
// entry at that version. Claim, List and Page continue with the other entries.
// The backend documents how an operator removes a damaged entry.
//
// # Clocks
//
// A store has no clock: every time comes from the caller. Callers' clocks may
// differ, and a claim may expire while its holder still works. An expired claim
// causes duplicate work; it never weakens a guarantee, because every effect is
// guarded by the compare-and-swap of Put or by Temporal.
//
// # Durability
//
// A durable store acknowledges a write only when the write survives the end of
// the process and a loss of power. Each backend documents its durability.
type Store interface {
	// Get returns the entry with this ID, or ErrNotFound. Get sees every write
	// that had returned before the call.
	Get(ctx context.Context, id string) (Entry, error)

	// Put inserts e if its Version is 0, and returns ErrExists if the entry
	// exists. Otherwise Put replaces the entry at exactly that Version, and
	// returns ErrConflict if the entry has another version or is gone. Body and
	// Due are written together. Put returns the new Version. Put keeps no
	// reference to Body.
	//
	// To keep a claim, callers put the Due that Claim returned.
	Put(ctx context.Context, e Entry) (version uint64, err error)

	// Delete removes the entry at that version. Delete returns ErrConflict if
	// the entry has another version, and nil if there is none. No entry has
	// version 0. Equal deletes at the same time all return nil.
	Delete(ctx context.Context, id string, version uint64) error

	// Claim returns up to n entries whose Due is not after now, and acts on
	// each as a Put with Due = until. The returned entries have the new
	// Version, the new Due and their Body. No two claims return the same
	// version of an entry. Claim truncates both times to whole milliseconds.
	// until must be after now, and n at least 1.
	//
	// An empty answer means that nothing is due. An answer with fewer than n
	// entries does not mean that no more are due: a backend ends it near
	// MaxClaim bytes of bodies. The entries are the oldest within a shard, with
	// the oldest first. A backend without shards keeps this order over the
	// whole store. No due entry waits behind younger ones forever. A claim that
	// finds nothing writes nothing, and must be cheap: every hub makes one in
	// each poll interval. Entries that an unacknowledged claim took are due
	// again at until. An answer has either entries or an error.
	Claim(ctx context.Context, now, until time.Time, n int) ([]Entry, error)

	// List yields each entry that exists throughout the loop at least once, in
	// any order. List may yield other entries too. The body of the loop may
	// call the store, may take any time, and may stop.
	//
	// For a damaged entry, List yields the zero Entry with an error for which
	// errors.Is finds ErrCorrupt, and the loop continues. Any other error is
	// yielded with the zero Entry and ends the loop.
	List(ctx context.Context) iter.Seq2[Entry, error]

	// Close waits for the calls in progress. Later calls, and the next step of a
	// loop over List, get ErrClosed. A second Close returns nil.
	Close() error
}
