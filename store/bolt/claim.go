package bolt

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// claimSize is the number of bytes that a claimed entry adds to a batch.
const claimSize = 1 << 10

// Claim implements [store.Store]. Claim returns the oldest entries of the whole
// store first, and writes them in one transaction. The transaction is on the
// disk when Claim returns. If nothing is due, Claim neither writes nor waits
// for a write.
//
// Claim skips damaged entries, and entries whose due time differs from that in the
// index. [Store.Check] finds both.
func (s *Store) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	claimed, err := s.claim(ctx, now, until, n)
	if len(claimed) > 0 {
		s.bell.Due(until)
	}
	return claimed, store.Wrap("claim", backend, "", err)
}

func (s *Store) claim(ctx context.Context, now, until time.Time, n int) (claimed []store.Entry, err error) {
	if err := store.CheckClaim(now, until, n); err != nil {
		return nil, err
	}
	nothing := false
	err = s.view(ctx, func(t *txn) error {
		nothing = t.nothingDue(now.UnixMilli())
		return nil
	})
	if err != nil || nothing {
		return nil, err
	}
	err = s.write(ctx, min(n, store.MaxClaim/claimSize)*claimSize, func(t *txn) error {
		claimed, err = t.claim(now.UnixMilli(), until.UnixMilli(), n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

func (t *txn) nothingDue(now int64) bool {
	key, _ := t.due.Cursor().First()
	due, _ := splitDueKey(key)
	return key == nil || due > now
}

func (t *txn) claim(now, until int64, n int) ([]store.Entry, error) {
	// All entries are read before the first write, because a write moves the cursor.
	type taken struct {
		id  string
		due int64
		value
	}
	var take []taken
	size := 0
	cursor := t.due.Cursor()
	for key, _ := cursor.First(); key != nil && len(take) < n; key, _ = cursor.Next() {
		due, id := splitDueKey(key)
		if due > now {
			break
		}
		var r record
		err, _ := guard(t.path, func() (err error) {
			r, err = t.get(id)
			return err
		})
		if err != nil || !r.found || r.due != due {
			continue
		}
		if size += len(r.body); size > store.MaxClaim && len(take) > 0 {
			break
		}
		v := value{bytes: make([]byte, headerSize+len(r.body)), sum: r.sum}
		copy(v.bytes[headerSize:], r.body)
		take = append(take, taken{id, due, v})
	}
	var entries []store.Entry
	for _, c := range take {
		version, err := t.put(c.id, c.due, until, c.value)
		if err != nil {
			return nil, err
		}
		// The database does not refer to these bytes after its transaction, and
		// the caller gets them only then.
		r := record{version: version, due: until, body: c.bytes[headerSize:]}
		entries = append(entries, r.entry(c.id))
	}
	return entries, nil
}
