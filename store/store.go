// Package store says what Latchkey needs of a place that keeps entries, and
// holds one such place, in memory.
//
// A store moves bytes and one time for each entry. It knows nothing of
// activities, tokens or outcomes: all meaning lives in package async, once. So
// a backend is about two hundred lines, and package storetest tells whether it
// keeps the contract that is written at [Store].
//
// The backends beside this package are opened by URL with [Open] once their
// package is imported, as drivers of database/sql are.
package store

import (
	"context"
	"iter"
	"time"
)

// MaxBody is the largest Body, in bytes, that package async writes: 6 MiB. It
// has room for a result at Temporal's blob limit and for heartbeat details.
const MaxBody = 6 << 20

// MaxStored is the largest Body, in bytes, that every backend takes: MaxBody
// and 1 KiB. A store that wraps a backend, one that encrypts for example, may
// add up to 1 KiB to each Body.
const MaxStored = MaxBody + 1<<10

// MaxClaim is how many bytes of bodies a backend puts into one answer of
// Claim, about: 8 MiB. One entry is always returned, however large.
const MaxClaim = 8 << 20

// Entry is what a store keeps. Whoever gets one owns its Body and may change
// it; Put keeps no reference to the Body it is given.
type Entry struct {
	// ID is 1 to 128 bytes of A-Z a-z 0-9 - _ and dot. Those that package async
	// makes begin with a time, so that neighbours in time are neighbours in an
	// ordered index.
	ID string

	// Version is 0 for an entry that is not stored yet, and else opaque:
	// compared for equality only. Every Put and every Claim gives a new one,
	// and none is given twice for one ID, not even after Delete.
	Version uint64

	// Due is from when Claim returns the entry, in whole milliseconds; the
	// rest is dropped. The zero time means never. Any other lies after the
	// start of 1970 and before the year 10000.
	Due time.Time

	// Body is opaque to the store, and at most MaxStored bytes long. Nil and
	// empty are the same.
	Body []byte
}

// Store keeps entries. Its methods may be called by any number of goroutines;
// where several processes share the data, by all of them.
//
// # Errors
//
// Every error is wrapped exactly once in an [*Error], and errors.Is finds the
// sentinel below it. The error of a context stays reachable for errors.Is.
// An ID, a size or a time outside what [Entry] says is [ErrInvalid], a count
// below one too, and nothing is changed. What is found damaged is
// [ErrCorrupt]. An entry is never reported as absent unless it is known to be.
//
// # Contexts
//
// A context that has ended before the call writes nothing, and its error is
// returned. A call that waits its turn when its context ends either writes
// nothing and says so, or answers as it would have; where a write may be under
// way, its outcome is unknown. See Put.
//
// # Clocks
//
// A store has no clock of its own: every time is the caller's. Callers' clocks
// may differ, and claims may lapse while their holder still works. That costs
// double work, and no guarantee of Latchkey rests on it, since every effect is
// guarded by the compare-and-swap of Put or by Temporal.
//
// # Durability
//
// A durable store answers Put only when the write survives the loss of the
// process and of the machine's power. Each backend says what it gives.
type Store interface {
	// Get returns the entry with this ID, or ErrNotFound. It sees every write
	// that had returned when it was called.
	Get(ctx context.Context, id string) (Entry, error)

	// Put inserts e where its Version is 0, and returns ErrExists where there
	// is an entry already. Else it replaces the entry that is there at exactly
	// that Version, and returns ErrConflict where it is at another one or
	// gone. Body and Due are written together or not at all; the Version
	// returned is the new one. To keep a claim, put the Due back that Get or
	// Claim gave.
	//
	// After any other error it is unknown whether e was stored. A backend
	// whose driver repeats a write by itself may answer ErrExists or
	// ErrConflict to its own earlier try: callers compare Body before they
	// believe it.
	Put(ctx context.Context, e Entry) (version uint64, err error)

	// Delete removes the entry at that version. It returns ErrConflict where
	// the entry is at another one, and nil where there is none. Version 0 is
	// at no entry.
	Delete(ctx context.Context, id string, version uint64) error

	// Claim returns up to n entries whose Due is not after now, and is to each
	// of them as a Put with Due = until: the entries returned have the new
	// Version and Due, and their bodies. No two claims return the same version
	// of an entry. Both times are cut to whole milliseconds; until must be
	// after now.
	//
	// It may return fewer than n while more are due (a backend stops near
	// MaxClaim bytes of bodies): only an empty answer means that nothing is.
	// Oldest first within a shard, where the backend has several; no due entry
	// waits behind younger ones for ever. A claim that finds nothing writes
	// nothing and costs almost nothing. A damaged entry doesn't keep the
	// others from being claimed. What a claim that fails had taken comes back
	// at until.
	Claim(ctx context.Context, now, until time.Time, n int) ([]Entry, error)

	// List yields each entry that is there throughout at least once, in no
	// order. Others may or may not be yielded. The loop's body may call the
	// store, and may stop. An error is yielded with the zero Entry, and ends
	// the loop.
	List(ctx context.Context) iter.Seq2[Entry, error]

	// Close waits for the calls under way; later ones, and loops over List
	// that go on, get ErrClosed. A second Close returns nil.
	Close() error
}
