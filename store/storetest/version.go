package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/latchkey-go/latchkey/store"
)

// versionChecks check that a version identifies one state of an entry forever.
func versionChecks() []check {
	return []check{
		{
			name: "Version/NewWithEachPut",
			says: "Every Put gives a new version, also one that changes nothing.",
			run: func(c *checker) {
				s := c.open()
				var given versions
				e := c.insert(s, "entry", "the same", at(1))
				for range 8 {
					c.wantNew(&given, e)
					e = c.put(s, e)
				}
				c.wantStored(s, e, "after Puts of the same")
			},
		},
		{
			name: "Version/NewWithEachClaim",
			says: "Every Claim gives a new version.",
			run: func(c *checker) {
				s := c.open()
				var given versions
				c.wantNew(&given, c.insert(s, "entry", "the same", at(0)))
				for i := range 8 {
					// now is the Due that the previous claim has set, so the
					// entry is due again
					got := c.claim(s, at(i*10), at(i*10+10), 1)
					if len(got) != 1 {
						c.fatalf("Claim of an entry that is due: got %d entries, want 1", len(got))
					}
					c.wantNew(&given, got[0])
				}
			},
		},
		{
			name: "Version/NotRepeatedAfterDelete",
			says: "No version is given twice for one ID, not even after Delete.",
			run: func(c *checker) {
				s := c.open()
				var given versions
				for range 6 {
					e := c.insert(s, "entry", "the same", at(1))
					c.wantNew(&given, e)
					e = c.put(s, e)
					c.wantNew(&given, e)
					c.delete(s, e)
				}
			},
		},
		{
			name: "Version/OldOnesAreDeadAfterReinsert",
			says: "Versions from before a Delete neither replace nor delete what was inserted since.",
			run: func(c *checker) {
				s := c.open()
				first := c.insert(s, "entry", "before", at(1))
				second := c.put(s, first)
				c.delete(s, second)
				e := c.insert(s, "entry", "after", at(2))
				for _, old := range []store.Entry{first, second} {
					_, err := s.Put(c.ctx, old)
					c.wantErr(err, store.ErrConflict, "Put at a version from before the Delete")
					c.wantErr(s.Delete(c.ctx, old.ID, old.Version), store.ErrConflict, "Delete at a version from before the Delete")
				}
				c.wantStored(s, e, "after calls at older versions")
			},
		},
		{
			name: "Version/NotRepeatedByConcurrentWriters",
			says: "No version is given twice for one ID, also with callers at the same time.",
			run: func(c *checker) {
				c.churn(new(versions), c.open())
			},
		},
	}
}

// churn runs goroutines on all handles against two entries, in rounds, so that
// they meet. In every second round, some replace, some delete or insert, and
// some claim. In the other rounds, all goroutines claim the entries that are
// due again by then.
func (c *checker) churn(given *versions, handles ...store.Store) {
	c.t.to.Helper()
	for round := range 10 {
		c.each(8, func(w int) error {
			s := handles[w/4%len(handles)]
			if w%4 == 3 || round%2 == 1 {
				claimed, err := s.Claim(c.ctx, at(round), at(round+1), 2)
				if err != nil {
					return fmt.Errorf("claim: got %w, want nil", err)
				}
				for _, e := range claimed {
					if err := given.add(e); err != nil {
						return err
					}
				}
				return nil
			}
			return write(c.ctx, s, given, fmt.Sprintf("churned-%d", (w+round)%2), w == 2)
		})
	}
}

// write makes one write to a contended entry, and records its new version. A
// conflict is not an error.
func write(ctx context.Context, s store.Store, given *versions, id string, remove bool) error {
	e, err := s.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		e, err = store.Entry{ID: id, Due: at(0), Body: []byte("the same")}, nil
	}
	if err != nil {
		return fmt.Errorf("get of %s: got %w, want the entry", id, err)
	}
	if remove && e.Version != 0 {
		if err := s.Delete(ctx, id, e.Version); err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("delete of %s: got %w, want nil or ErrConflict", id, err)
		}
		return nil
	}
	e.Version, err = s.Put(ctx, e)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("put of %s: got %w, want nil, ErrConflict or ErrExists", id, err)
	}
	return given.add(e)
}

// versions records the versions that the store has given.
type versions struct {
	mu   sync.Mutex
	seen map[versionOf]bool
}

type versionOf struct {
	id      string
	version uint64
}

func (v *versions) add(e store.Entry) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := versionOf{e.ID, e.Version}
	if v.seen[key] {
		return fmt.Errorf("version %d of %s: given twice, want each version once", e.Version, e.ID)
	}
	if v.seen == nil {
		v.seen = make(map[versionOf]bool)
	}
	v.seen[key] = true
	return nil
}

func (c *checker) wantNew(v *versions, e store.Entry) {
	c.t.to.Helper()
	if err := v.add(e); err != nil {
		c.errorf("%v", err)
	}
}
