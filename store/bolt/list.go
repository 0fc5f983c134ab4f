package bolt

import (
	"bytes"
	"context"
	"iter"

	"github.com/latchkey-go/latchkey/store"
)

// A page of List has at most so many entries, and begins no further one when
// their bodies come to so many bytes.
const (
	pageEntries = 256
	pageBytes   = 1 << 20
)

// List yields the entries by ID, as [store.Store] says. It reads them in
// pages, and none of its transactions is open while the loop's body runs. A
// damaged entry ends it, after all those before it.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		var last string
		for {
			page, err := s.page(ctx, last)
			for _, e := range page {
				// Ended or closed by the loop's body.
				if err := s.ready(ctx); err != nil {
					yield(store.Entry{}, store.Wrap("list", backend, "", err))
					return
				}
				if !yield(e, nil) {
					return
				}
				last = e.ID
			}
			if err != nil {
				yield(store.Entry{}, store.Wrap("list", backend, "", err))
				return
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// page returns the entries that follow an ID, those before a damaged one also
// together with the error.
func (s *Store) page(ctx context.Context, after string) (page []store.Entry, err error) {
	err = s.view(ctx, func(t *txn) error {
		size := 0
		cursor := t.entries.Cursor()
		key, v := cursor.Seek([]byte(after))
		if key != nil && string(key) == after {
			key, v = cursor.Next()
		}
		for ; key != nil && len(page) < pageEntries && size < pageBytes; key, v = cursor.Next() {
			id := string(key)
			r, err := parse(t.path, id, v)
			if err != nil {
				return err
			}
			r.body = bytes.Clone(r.body)
			page = append(page, r.entry(id))
			size += len(r.body)
		}
		return nil
	})
	return page, err
}
