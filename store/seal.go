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

// ErrKey means that an entry is sealed with a key that the store doesn't have.
// The entry is neither gone nor damaged: add the key to SealOptions.Keys.
var ErrKey = errors.New("store: sealed with an unknown key")

const sealedName = "sealed"

// SealOptions configures [Seal].
type SealOptions struct {
	// IDKey hides the IDs of entries. It must have 32 bytes, and stays the same
	// for the life of the store. Required.
	IDKey []byte

	// Keys are the keys that open entries, by name. A name is 1 to 64 bytes of
	// A-Z a-z 0-9 - _ and dot, and stands for one key for ever. Each key must
	// have 32 bytes. Required.
	Keys map[string][]byte

	// Active is the name of the key that seals what is written. Required.
	Active string
}

// Sealed is a store that keeps its entries sealed in another one. Its methods
// may be called by any number of goroutines. Get one from [Seal].
type Sealed struct {
	inner Store
	seals *seals
	pager Pager // the inner store's, or nil, as those that follow
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

// Seal returns a store that encrypts the bodies and hides the IDs of all entries
// in s, which must be empty or have been sealed with the same IDKey. A dump of s
// then answers nothing; docs/security.md lists what it still shows. Closing the
// sealed store closes s.
//
// Every process must have all keys before one of them makes a new key active.
// To change keys: add the new one to all processes, make it active in all, call
// Reseal until Census shows no entry of the old key, remove the old key.
//
// Seal writes one entry of its own, the canary. It returns ErrKey where the
// canary says that the store has another IDKey, or another key of the same name,
// and ErrInvalid for options that can't be used and for a store that has entries
// that are not sealed: Copy them to a sealed store that is empty.
//
// Bodies are at most MaxBody bytes. The sealed store serves the optional
// interfaces that s serves. The order of its pages is that of the sealed IDs.
// Claim passes over entries that it can't open; they come back when the claim
// ends. It returns their error once there is nothing else to claim.
func Seal(ctx context.Context, s Store, o SealOptions) (*Sealed, error) {
	sealed, err := seal(ctx, s, o)
	return sealed, outer("seal", "", err)
}

func seal(ctx context.Context, s Store, o SealOptions) (*Sealed, error) {
	if s == nil {
		return nil, fmt.Errorf("%w: the store to seal is nil", ErrInvalid)
	}
	keys, err := newSeals(o)
	if err != nil {
		return nil, err
	}
	sealed := &Sealed{inner: s, seals: keys}
	sealed.pager, _ = s.(Pager)
	sealed.count, _ = s.(Counter)
	sealed.watch, _ = s.(Notifier)
	if err := sealed.checkCanary(ctx); err != nil {
		return nil, err
	}
	return sealed, nil
}

// outer returns an error of the inner store as one about the entry's own ID.
func outer(op, id string, err error) error {
	if inner, ok := errors.AsType[*Error](err); ok {
		short := ShortID(id)
		if id == "" {
			short = inner.ID // of an entry that can't be opened
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

// opened opens an entry of the inner store. It must be the one with this ID,
// where that is known.
func (s *Sealed) opened(e Entry, id string) (Entry, error) {
	own, body, err := s.seals.open(e.ID, e.Body)
	if err != nil {
		return Entry{}, err
	}
	if id != "" && own != id || s.seals.id(own) != e.ID {
		return Entry{}, fmt.Errorf("%w: it is sealed under another ID", ErrCorrupt)
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

// MaxBody implements [Limiter]: it leaves room for what sealing adds.
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

// unopened names an entry that can't be opened: by its sealed ID, since it has no
// other one.
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

// Page implements [Pager] where the inner store does. The order is that of the
// sealed IDs.
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

var errNotServed = fmt.Errorf("%w: the store that is sealed doesn't serve it", errors.ErrUnsupported)

// Count implements [Counter] where the inner store does.
func (s *Sealed) Count(ctx context.Context) (int, error) {
	if s.count == nil {
		return 0, outer("count", "", errNotServed)
	}
	n, err := s.count.Count(ctx)
	return max(0, n-1), outer("count", "", err) // without the canary
}

// Watch implements [Notifier] where the inner store does.
func (s *Sealed) Watch(ctx context.Context) (<-chan struct{}, error) {
	if s.watch == nil {
		return nil, outer("watch", "", errNotServed)
	}
	signals, err := s.watch.Watch(ctx)
	return signals, outer("watch", "", err)
}

// Census counts the entries by the name of the key that seals them. A key that
// it doesn't name can be removed, as long as no process writes with it. Under the
// empty name are entries that show no key, because they are damaged or not
// sealed. It reads the whole store.
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

// Reseal seals with the active key all entries that are sealed with another one,
// and returns how many those were. Other calls may run meanwhile, in all
// processes. It goes on behind entries that it can't open, and returns the error
// of the first of them. After an error, call it again.
//
// A hub that works on an entry while it is resealed finds that its version has
// changed, and reads it again, as after any other write.
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

// reseal seals one entry with the active key, as it is when no other write comes
// in between.
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
