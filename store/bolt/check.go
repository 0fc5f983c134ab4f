package bolt

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/bolt/internal/pages"
	"go.etcd.io/bbolt"
)

const (
	maxFindings = 100
	checkPage   = 1 << 10 // keys per transaction
)

// Check reads the whole file and returns a [store.ErrCorrupt] for each damage
// that it finds. Check checks the pages, the order of keys, the checksums of
// entries, and the index of due times. Check also finds damage that other
// methods cannot detect, such as an entry whose key has changed. Check stops
// after a hundred findings.
//
// Other calls may run during a Check. While Check reads the pages, a few
// seconds for a million entries, the file may grow instead of reusing pages. A
// write that makes the file outgrow its memory map waits for Check, and so do
// all calls after it.
func (s *Store) Check(ctx context.Context) error {
	return store.Wrap("check", backend, "", s.check(ctx))
}

func (s *Store) check(ctx context.Context) error {
	f := &findings{path: s.path}
	err := s.raw(ctx, func(tx *bbolt.Tx) error {
		l := pages.At(s.file, uint64(tx.Size()), uint64(s.db.Info().PageSize), uint64(tx.Cursor().Bucket().Root()))
		if err := l.CheckTrees(true); err != nil {
			return err
		}
		return f.count(tx)
	})
	if err != nil {
		return err // the following checks need intact trees
	}
	if err := s.scan(ctx, entryBucket, f.entry); err != nil {
		return f.with(err)
	}
	return f.with(s.scan(ctx, dueBucket, f.due))
}

// scan calls fn for every key of a bucket, in short transactions.
func (s *Store) scan(ctx context.Context, bucket []byte, fn func(t *txn, key, value []byte) error) error {
	var last []byte
	for {
		n := 0
		err := s.view(ctx, func(t *txn) error {
			b := t.entries
			if string(bucket) == string(dueBucket) {
				b = t.due
			}
			cursor := b.Cursor()
			key, v := cursor.Seek(last)
			if key != nil && string(key) == string(last) {
				key, v = cursor.Next()
			}
			for ; key != nil && n < checkPage; key, v = cursor.Next() {
				if err := fn(t, key, v); err != nil {
					return err
				}
				n++
				last = append(last[:0], key...)
			}
			return nil
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

type findings struct {
	path string
	errs []error
}

var errEnough = errors.New("store: more may be damaged")

func (f *findings) add(err error) error {
	f.errs = append(f.errs, err)
	if len(f.errs) >= maxFindings {
		return errEnough
	}
	return nil
}

// with returns all findings, and the error that ended the search.
func (f *findings) with(err error) error {
	return errors.Join(append(f.errs, err)...)
}

func (f *findings) count(tx *bbolt.Tx) error {
	t, err := newTxn(f.path, tx)
	if err != nil {
		return err
	}
	known, there := int(t.due.Sequence())-1, t.walk()
	if known >= 0 && known != there {
		return f.add(corrupt(f.path, "the file counts %d entries and has %d", known, there))
	}
	return nil
}

func (f *findings) entry(t *txn, key, v []byte) error {
	id := string(key)
	r, err := parse(f.path, id, v)
	switch {
	case err != nil:
		return f.add(err)
	case r.version > t.entries.Sequence():
		return f.add(corrupt(f.path, "entry %s has a version that was never given", store.ShortID(id)))
	case r.due != never && t.due.Get(dueKey(r.due, id)) == nil:
		return f.add(corrupt(f.path, "entry %s has a due time, but is not in the index", store.ShortID(id)))
	}
	return nil
}

func (f *findings) due(t *txn, key, _ []byte) error {
	due, id := splitDueKey(key)
	r, err := t.get(id)
	if err != nil {
		return nil // found already
	}
	if !r.found || r.due != due {
		return f.add(corrupt(f.path, "entry %s is in the index with another due time than its own", store.ShortID(id)))
	}
	return nil
}
