package bolt

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/internal/wake"
)

// The sequence of the bucket due is the number of entries plus one. Every
// commit writes the page with this number anyway. 0 means that the number is
// not known, as in a file of an earlier release.

// Count implements [store.Counter]. In a file of an earlier release without a count,
// the first call counts the entries and stores the number.
func (s *Store) Count(ctx context.Context) (int, error) {
	n, err := s.count(ctx)
	return n, store.Wrap("count", backend, "", err)
}

func (s *Store) count(ctx context.Context) (n int, err error) {
	err = s.view(ctx, func(t *txn) error {
		n = int(t.due.Sequence()) - 1
		return nil
	})
	if err != nil || n >= 0 {
		return n, err
	}
	err = s.write(ctx, 0, func(t *txn) error {
		n = t.walk()
		t.writes++
		return t.setCount(n)
	})
	return n, err
}

// walk counts the entries.
func (t *txn) walk() (n int) {
	cursor := t.entries.Cursor()
	for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
		n++
	}
	return n
}

// counted adds to the number of entries if it is known.
func (t *txn) counted(more int) error {
	if known := t.due.Sequence(); known > 0 {
		return t.setCount(int(known) - 1 + more)
	}
	return nil
}

func (t *txn) setCount(n int) error {
	if err := t.due.SetSequence(uint64(max(n, 0)) + 1); err != nil {
		return t.unwritable(err)
	}
	return nil
}

// Watch implements [store.Notifier]. Only this process has the file open, so all
// signals come from its own writes.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := s.ready(ctx); err != nil {
		return nil, store.Wrap("watch", backend, "", err)
	}
	c, err := s.bell.Watch(ctx)
	if errors.Is(err, wake.ErrClosed) {
		err = store.ErrClosed
	}
	return c, store.Wrap("watch", backend, "", err)
}
