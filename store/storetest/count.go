package storetest

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// countChecks check the contract of store.Counter.
func countChecks() []check {
	return []check{
		{
			name:  "Count/IsTheNumberOfEntries",
			says:  "Count returns the number of entries.",
			needs: counting,
			run: func(c *checker) {
				s := c.open()
				c.wantCount(s, 0, "of an empty store")
				entries := numbered("entry-", 50, func(i int) time.Time { return at(i) })
				c.populate(s, entries)
				c.wantCount(s, 50, "after inserts")
				entries[0] = c.put(s, entries[0])
				c.claim(s, at(9), at(99), 5)
				c.wantCount(s, 50, "after a replacement and a claim")
				if _, err := s.Put(c.ctx, store.Entry{ID: entries[20].ID}); err == nil {
					c.errorf("insert of what is there: got nil, want ErrExists")
				}
				_ = s.Delete(c.ctx, entries[20].ID, entries[20].Version+1)
				c.wantCount(s, 50, "after writes that were refused")
				c.delete(s, entries[30])
				c.delete(s, entries[30])
				c.wantCount(s, 49, "after a Delete of what is there and one of what is gone")
				c.put(s, store.Entry{ID: entries[30].ID})
				c.wantCount(s, 50, "after another insert of what was deleted")
			},
		},
		{
			name:  "Count/Reopened",
			says:  "Count returns the number of entries, those from before included.",
			needs: counting | durable,
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 9, func(i int) time.Time { return at(i) })
				c.populate(s, entries)
				c.delete(s, entries[0])
				s = c.reopen(s)
				c.wantCount(s, 8, "after reopening")
				c.delete(s, entries[1])
				c.wantCount(s, 7, "after reopening and a Delete")
			},
		},
		{
			name:  "Count/PeersAreCounted",
			says:  "Count returns the number of entries, through whichever handle they were written.",
			needs: counting | shared,
			run: func(c *checker) {
				s := c.open()
				peer := c.peer(s)
				e := c.insert(s, "entry", "body", at(1))
				c.wantCount(peer, 1, "by a peer after an insert")
				c.delete(s, e)
				c.wantCount(peer, 0, "by a peer after a Delete")
			},
		},
		{
			name:  "Count/AfterClose",
			says:  "Calls after Close get ErrClosed.",
			needs: counting,
			run: func(c *checker) {
				s := c.open()
				c.close(s)
				_, err := served[store.Counter](c, s).Count(c.ctx)
				c.wantErr(err, store.ErrClosed, "Count after Close")
			},
		},
	}
}

func (c *checker) wantCount(s store.Store, want int, when string) {
	c.t.to.Helper()
	got, err := served[store.Counter](c, s).Count(c.ctx)
	if err != nil || got != want {
		c.errorf("Count %s: got %d, %v, want %d", when, got, err, want)
	}
}
