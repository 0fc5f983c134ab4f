package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrKey means that an entry is sealed with a key that the store does not have.
// The entry is neither gone nor damaged: add the key to SealOptions.Keys.
var ErrKey = errors.New("store: sealed with an unknown key")

const sealedName = "sealed"

// SealOptions configures [Seal].
type SealOptions struct {
	// IDKey hides the IDs of entries. IDKey must have 32 bytes, and must not
	// change during the life of the store. Required.
	IDKey []byte

	// Keys are the keys that open entries, by name. A name is 1 to 64 bytes of
	// A-Z a-z 0-9 - _ and dot, and must always name the same key. Each key must
	// have 32 bytes. Required.
	Keys map[string][]byte

	// Active is the name of the key that seals writes. Required.
	Active string
}

// Sealed is a store that keeps its entries encrypted in another store. [Seal]
// returns one. Any number of goroutines may call its methods.
type Sealed struct {
	inner Store
	seals *seals
	pager Pager // inner if it is a Pager, or nil; count and watch follow the same rule
	count Counter
	watch Notifier
}

var (
	_ Store    = (*Sealed)(nil)
	_ Pager    = (*Sealed)(nil)
	_ Counter  = (*Sealed)(nil)
	_ Notifier = (*Sealed)(nil)
	_ Limiter  = (*Sealed)(nil)
)

// Seal returns a store that encrypts the bodies and hides the IDs of all
// entries in s. s must be empty, or have been sealed with the same IDKey.
// With a dump of s, an attacker cannot answer. docs/security.md lists the
// information in a dump. Closing the sealed store closes s.
//
// Every process must have all keys before one of them makes a new key active.
// To change keys, first add the new key to all processes, and then make it
// active in all of them. Call Reseal until Census shows no entry of the old
// key, and remove the old key.
//
// Seal writes one entry, the canary. Seal returns ErrKey if s was sealed with
// another IDKey, or with another key of the same name. Seal returns ErrInvalid
// if the options are invalid, or if s has entries that are not sealed. Use Copy
// to copy such entries to an empty sealed store.
//
// A body has at most MaxBody bytes. The sealed store supports the optional
// interfaces that s supports. The pages are in the order of the sealed IDs.
// Claim skips entries that it cannot open; they are due again when the claim
// expires. Claim returns the error of such entries when nothing else is due.
func Seal(ctx context.Context, s Store, o SealOptions) (*Sealed, error) {
	sealed, err := seal(ctx, s, o)
	return sealed, outer("seal", "", err)
}

func seal(ctx context.Context, s Store, o SealOptions) (*Sealed, error) {
	if s == nil {
		return nil, fmt.Errorf("%w: Seal needs a store, got nil", ErrInvalid)
	}
	keys, err := newSeals(o)
	if err != nil {
		return nil, err
	}
	sealed := newSealed(s, keys)
	if err := sealed.checkCanary(ctx); err != nil {
		return nil, err
	}
	return sealed, nil
}

func newSealed(inner Store, keys *seals) *Sealed {
	s := &Sealed{inner: inner, seals: keys}
	s.pager, _ = inner.(Pager)
	s.count, _ = inner.(Counter)
	s.watch, _ = inner.(Notifier)
	return s
}

// Over returns a store that seals the entries of inner with the keys of s.
// inner is another handle to the data of s, such as a transaction of
// store/postgres:
//
//	hub.With(sealed.Over(s.Tx(tx)))
//
// Unlike [Seal], Over does not read the store, so it does not check that the
// keys match. Over panics if inner is
// nil. Closing the returned store closes inner.
func (s *Sealed) Over(inner Store) *Sealed {
	if inner == nil {
		panic("store: Sealed.Over needs a store, got nil")
	}
	return newSealed(inner, s.seals)
}

// outer replaces the ID and the backend in an error of the inner store.
func outer(op, id string, err error) error {
	if inner, ok := errors.AsType[*Error](err); ok {
		short := ShortID(id)
		if id == "" {
			short = inner.ID // ID of an entry that cannot be opened
		}
		return &Error{Op: op, Backend: sealedName, ID: short, Err: inner.Err}
	}
	return Wrap(op, sealedName, id, err)
}

// Get implements [Store].
func (s *Sealed) Get(ctx context.Context, id string) (Entry, error) {
	e, err := s.get(ctx, id)
	return e, outer("get", id, err)
}

func (s *Sealed) get(ctx context.Context, id string) (Entry, error) {
	if err := CheckID(id); err != nil {
		return Entry{}, err
	}
	e, err := s.inner.Get(ctx, s.seals.id(id))
	if err != nil {
		return Entry{}, err
	}
	return s.opened(e, id)
}

// opened opens an entry of the inner store. Unless id is empty, the entry must
// have that ID.
func (s *Sealed) opened(e Entry, id string) (Entry, error) {
	own, body, err := s.seals.open(e.ID, e.Body)
	if err != nil {
		return Entry{}, err
	}
	if id != "" && own != id || s.seals.id(own) != e.ID {
		return Entry{}, fmt.Errorf("%w: the entry was sealed under another ID", ErrCorrupt)
	}
	return Entry{ID: own, Version: e.Version, Due: e.Due, Body: body}, nil
}

// Put implements [Store].
func (s *Sealed) Put(ctx context.Context, e Entry) (uint64, error) {
	version, err := s.put(ctx, e)
	return version, outer("put", e.ID, err)
}

func (s *Sealed) put(ctx context.Context, e Entry) (uint64, error) {
	if err := e.Check(); err != nil {
		return 0, err
	}
	if most := s.MaxBody(); len(e.Body) > most {
		return 0, fmt.Errorf("%w: body must be at most %d bytes, got %d", ErrInvalid, most, len(e.Body))
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	id := s.seals.id(e.ID)
	return s.inner.Put(ctx, Entry{ID: id, Version: e.Version, Due: e.Due, Body: s.seals.seal(id, e.ID, e.Body)})
}

// MaxBody implements [Limiter]. The result leaves room for the bytes that
// sealing adds.
func (s *Sealed) MaxBody() int {
	if l, ok := s.inner.(Limiter); ok {
		return min(MaxBody, l.MaxBody()-SealRoom)
	}
	return MaxBody
}

// Delete implements [Store].
func (s *Sealed) Delete(ctx context.Context, id string, version uint64) error {
	if err := CheckID(id); err != nil {
		return outer("delete", id, err)
	}
	return outer("delete", id, s.inner.Delete(ctx, s.seals.id(id), version))
}

// Claim implements [Store].
func (s *Sealed) Claim(ctx context.Context, now, until time.Time, n int) ([]Entry, error) {
	claimed, err := s.claim(ctx, now, until, n)
	return claimed, outer("claim", "", err)
}

func (s *Sealed) claim(ctx context.Context, now, until time.Time, n int) (claimed []Entry, err error) {
	var unopened error
	for {
		taken, err := s.inner.Claim(ctx, now, until, n)
		if err != nil {
			return nil, err
		}
		for _, e := range taken {
			own, err := s.opened(e, "")
			if err == nil {
				claimed = append(claimed, own)
			} else if unopened == nil {
				unopened = s.unopened(e, err)
			}
		}
		switch {
		case len(claimed) > 0:
			return claimed, nil
		case len(taken) == 0:
			return nil, unopened
		}
	}
}

// unopened adds the sealed ID of an entry to its error. The unsealed ID of an
// entry that cannot be opened is not known.
func (s *Sealed) unopened(e Entry, err error) error {
	return fmt.Errorf("entry %s: %w", ShortID(e.ID), err)
}

// List implements [Store].
func (s *Sealed) List(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range s.inner.List(ctx) {
			if err == nil && e.ID == canaryID {
				continue
			}
			if err == nil {
				sealed := e
				if e, err = s.opened(sealed, ""); err != nil {
					err = s.unopened(sealed, err)
				}
			}
			if !yield(e, outer("list", "", err)) {
				return
			}
		}
	}
}

// Close closes the inner store.
func (s *Sealed) Close() error { return outer("close", "", s.inner.Close()) }

// Page implements [Pager] if the inner store does. The entries come in the
// order of their sealed IDs.
func (s *Sealed) Page(ctx context.Context, after string, n int) ([]Entry, error) {
	page, err := s.page(ctx, after, n)
	return page, outer("page", after, err)
}

func (s *Sealed) page(ctx context.Context, after string, n int) (page []Entry, unreadable error) {
	if err := CheckPage(after, n); err != nil {
		return nil, err
	}
	if s.pager == nil {
		return nil, errNotServed
	}
	if after != "" {
		after = s.seals.id(after)
	}
	for {
		sealed, err := s.pager.Page(ctx, after, n)
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt):
			return nil, err
		case unreadable == nil:
			unreadable = err
		}
		for _, e := range sealed {
			after = e.ID
			if e.ID == canaryID {
				continue
			}
			own, err := s.opened(e, "")
			if err == nil {
				page = append(page, own)
			} else if unreadable == nil {
				unreadable = s.unopened(e, err)
			}
		}
		if len(page) > 0 || len(sealed) == 0 {
			return page, unreadable
		}
	}
}

var errNotServed = fmt.Errorf("%w: the inner store does not serve it", errors.ErrUnsupported)

// Count implements [Counter] if the inner store does.
func (s *Sealed) Count(ctx context.Context) (int, error) {
	if s.count == nil {
		return 0, outer("count", "", errNotServed)
	}
	n, err := s.count.Count(ctx)
	return max(0, n-1), outer("count", "", err) // without the canary
}

// Watch implements [Notifier] if the inner store does.
func (s *Sealed) Watch(ctx context.Context) (<-chan struct{}, error) {
	if s.watch == nil {
		return nil, outer("watch", "", errNotServed)
	}
	signals, err := s.watch.Watch(ctx)
	return signals, outer("watch", "", err)
}

// Census returns the number of entries by the name of the key that seals them.
// A key without entries can be removed if no process writes with it. The empty
// name counts entries without a key: damaged entries, and those that are not
// sealed. Census reads the whole store.
func (s *Sealed) Census(ctx context.Context) (map[string]int, error) {
	census := make(map[string]int)
	for e, err := range s.inner.List(ctx) {
		switch {
		case errors.Is(err, ErrCorrupt):
			census[""]++
		case err != nil:
			return nil, outer("census", "", err)
		case e.ID != canaryID:
			name, _, _ := cutHeader(e.Body)
			census[name]++
		}
	}
	return census, nil
}

// Reseal seals, with the active key, all entries that another key has sealed,
// and returns their number. Other calls may run at the same time, in all
// processes. Reseal skips entries that it cannot open, and returns the first of
// their errors. After an error or an interruption, call Reseal again.
//
// If a hub works on an entry that Reseal writes, the hub gets a conflict and reads
// the entry again, as after any other write.
func (s *Sealed) Reseal(ctx context.Context) (int, error) {
	n := 0
	var first error
	for e, err := range s.inner.List(ctx) {
		done := false
		if err == nil && e.ID != canaryID {
			done, err = s.reseal(ctx, e)
			err = outer("reseal", "", err)
		}
		if done {
			n++
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrKey) {
			return n, outer("reseal", "", err)
		}
		if first == nil {
			first = outer("reseal", "", err)
		}
	}
	return n, first
}

// reseal seals one entry with the active key. If another caller writes the entry
// meanwhile, reseal starts again with the new content.
func (s *Sealed) reseal(ctx context.Context, e Entry) (done bool, err error) {
	for {
		if name, _, ok := cutHeader(e.Body); ok && name == s.seals.active {
			return false, nil
		}
		own, err := s.opened(e, "")
		if err != nil {
			return false, s.unopened(e, err)
		}
		e.Body = s.seals.seal(e.ID, own.ID, own.Body)
		_, err = s.inner.Put(ctx, e)
		if !errors.Is(err, ErrConflict) {
			return err == nil, err
		}
		e, err = s.inner.Get(ctx, e.ID)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// keyNames lists the names of keys for errors.
func keyNames(keys map[string][]byte) string {
	return strings.Join(slices.Sorted(maps.Keys(keys)), ", ")
}
