package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// durableChecks check which data survives the handle that wrote it.
func durableChecks() []check {
	checks := []check{
		{
			name: "Durable/ReopenedIsAsItWas",
			says: "Features.Durable: what Put acknowledged survives: body, version and Due.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 60, func(i int) time.Time {
					if i%3 == 0 {
						return never
					}
					return at(i)
				})
				c.populate(s, entries)
				for i := range 10 {
					entries[i].Body = append(entries[i].Body, " replaced"...)
					entries[i] = c.put(s, entries[i])
				}
				empty := c.put(s, store.Entry{ID: "empty", Due: lastDue})
				s = c.reopen(s)
				for _, e := range append(entries, empty) {
					c.wantStored(s, e, "after reopening")
				}
				if got := byID(c.list(s)); len(got) != len(entries)+1 {
					c.errorf("List after reopening: got %d entries, want %d", len(got), len(entries)+1)
				}
			},
		},
		{
			name: "Durable/DeletedStaysDeleted",
			says: "Features.Durable: a Delete that returned nil survives.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				other := c.insert(s, "other", "body", at(1))
				c.delete(s, e)
				s = c.reopen(s)
				c.wantAbsent(s, e.ID, "deleted before reopening")
				c.wantClaimed(c.drain(s, at(1), at(9), 5, 1), "after reopening", other.ID)
			},
		},
		{
			name: "Durable/VersionsStillHold",
			says: "Features.Durable: versions given before reopening are those that entries are at.",
			run: func(c *checker) {
				s := c.open()
				stale := c.insert(s, "entry", "first", at(1))
				e := c.put(s, stale)
				s = c.reopen(s)
				_, err := s.Put(c.ctx, stale)
				c.wantErr(err, store.ErrConflict, "Put after reopening at a version that was stale before")
				_, err = s.Put(c.ctx, store.Entry{ID: e.ID, Due: at(1)})
				c.wantErr(err, store.ErrExists, "insert after reopening of an entry that is there")
				e.Body = []byte("second")
				c.wantStored(s, c.put(s, e), "replaced after reopening")
			},
		},
		{
			name: "Durable/VersionsAreNotRepeated",
			says: "No version is given twice for one ID, not even after Delete: nor after reopening.",
			run: func(c *checker) {
				s := c.open()
				var given versions
				for round := range 4 {
					for range 3 {
						e := c.insert(s, "entry", "the same", at(1))
						c.wantNew(&given, e)
						e = c.put(s, e)
						c.wantNew(&given, e)
						if round%2 == 1 {
							// The entry exists during one reopening of the
							// store, and does not exist during another.
							s = c.reopen(s)
						}
						c.delete(s, e)
					}
					s = c.reopen(s)
				}
			},
		},
		{
			name: "Durable/ClaimsStillHold",
			says: "Claim is as a Put with Due = until, which survives.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "claimed", "body", at(1))
				got := c.claim(s, at(1), at(50), 5)
				c.wantClaimed(got, "before reopening", "claimed")
				later := c.insert(s, "later", "body", at(40))
				s = c.reopen(s)
				for _, e := range got {
					c.wantStored(s, e, "claimed before reopening")
				}
				c.wantClaimed(c.drain(s, at(39), at(99), 5, 2), "while the claim is held")
				c.wantClaimed(c.drain(s, at(50), at(99), 5, 2), "when the claim has lapsed", "claimed", later.ID)
			},
		},
		{
			name: "Durable/AcknowledgedBesideCloseIsKept",
			says: "Close waits for the calls under way: what they acknowledged survives.",
			run:  acknowledgedBesideCloseIsKept,
		},
	}
	for i := range checks {
		checks[i].needs = durable
	}
	return checks
}

// acknowledgedBesideCloseIsKept closes a store while writers are active.
// acknowledgedBesideCloseIsKept reads the data before it reads which writes
// were acknowledged, so later writes do not count.
func acknowledgedBesideCloseIsKept(c *checker) {
	const writers = 5
	s := c.open()
	acknowledged := make([][]store.Entry, writers)
	begun := make(chan struct{}, 1)
	var closed atomic.Bool // needed if no ErrClosed ends the writers
	var wg sync.WaitGroup
	defer wg.Wait()
	defer closed.Store(true)
	for w := range writers {
		wg.Go(func() {
			for i := 0; !closed.Load(); i++ {
				e, err := put(c.ctx, s, store.Entry{ID: fmt.Sprintf("entry-%d-%d", w, i), Due: at(i), Body: []byte("body")})
				if err == nil {
					acknowledged[w] = append(acknowledged[w], e)
				}
				if i == 2 || err != nil {
					select {
					case begun <- struct{}{}:
					default:
					}
				}
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					c.errorf("%v", err)
					return
				}
			}
		})
	}
	<-begun
	s2 := c.reopen(s)
	kept := byID(c.list(s2))
	closed.Store(true)
	wg.Wait()
	for _, entries := range acknowledged {
		for _, e := range entries {
			c.wantEntry(kept[e.ID], e, "List after reopening, of what was acknowledged during Close")
		}
	}
}
