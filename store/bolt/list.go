package bolt

import (
	"bytes"
	"context"
	"iter"

	"github.com/latchkey-go/latchkey/store"
)

// Limits of a page of List: the number of entries, and the bytes of bodies after
// which it accepts no further entry.
const (
	pageEntries = 256
	pageBytes   = 1 << 20
)

// List implements [store.Store]. List yields the entries in the order of their
// IDs. List reads the entries in pages, and has no transaction open while the
// body of the loop runs.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		failed := func(err error) bool { return yield(store.Entry{}, store.Wrap("list", backend, "", err)) }
		for last := ""; ; {
			p, err := s.page(ctx, last, pageEntries, pageBytes)
			if err != nil {
				failed(err)
				return
			}
			for _, e := range p.entries {
				// the body of the loop has ended the context or closed the
				// store
				if err := s.ready(ctx); err != nil {
					failed(err)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
			for _, err := range p.damaged {
				if !failed(err) {
					return
				}
			}
			if p.last == "" {
				return
			}
			last = p.last
		}
	}
}

// Page implements [store.Pager]. The entries come in the order of their IDs.
func (s *Store) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	entries, err := s.readable(ctx, after, n)
	return entries, store.Wrap("page", backend, "", err)
}

func (s *Store) readable(ctx context.Context, after string, n int) ([]store.Entry, error) {
	if err := store.CheckPage(after, n); err != nil {
		return nil, err
	}
	var damaged error
	for {
		p, err := s.page(ctx, after, n, store.MaxClaim)
		switch {
		case err != nil:
			return nil, err
		case damaged == nil && len(p.damaged) > 0:
			damaged = p.damaged[0]
		}
		if len(p.entries) > 0 || p.last == "" {
			return p.entries, damaged
		}
		after = p.last // all entries of that page were damaged
	}
}

// page is a part of the entries in the order of their IDs.
type page struct {
	entries []store.Entry
	damaged []error // the errors of the entries that cannot be read
	last    string  // the ID of the last entry; empty if there was none
}

// page returns up to n entries that follow an ID. page accepts no further entry
// after room bytes of bodies.
func (s *Store) page(ctx context.Context, after string, n, room int) (p page, err error) {
	err = s.view(ctx, func(t *txn) error {
		size := 0
		cursor := t.entries.Cursor()
		key, v := cursor.Seek([]byte(after))
		if key != nil && string(key) == after {
			key, v = cursor.Next()
		}
		for ; key != nil && len(p.entries)+len(p.damaged) < n && size < room; key, v = cursor.Next() {
			p.last = string(key)
			r, err := parse(t.path, p.last, v)
			if err != nil {
				p.damaged = append(p.damaged, err)
				continue
			}
			r.body = bytes.Clone(r.body)
			p.entries = append(p.entries, r.entry(p.last))
			size += len(r.body)
		}
		return nil
	})
	return p, err
}
