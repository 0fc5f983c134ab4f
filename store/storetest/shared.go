package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// sharedChecks check that all handles behave as one.
func sharedChecks() []check {
	checks := []check{
		{
			name: "Shared/PeerSeesWritesAtOnce",
			says: "Features.Shared: Get sees every write that had returned, through whichever handle.",
			run: func(c *checker) {
				a, b := c.pair()
				e := c.insert(a, "entry", "by one", at(1))
				c.wantStored(b, e, "inserted by a peer")
				for i := range 4 {
					a, b = b, a
					e.Body = fmt.Appendf(nil, "replacement %d", i)
					e = c.put(a, e)
					c.wantStored(b, e, "replaced by a peer")
				}
				c.wantListed(byID(c.list(b)), []store.Entry{e}, "of a peer's entries")
				c.delete(a, e)
				c.wantAbsent(b, e.ID, "deleted by a peer")
			},
		},
		{
			name: "Shared/PeersCompareAndSwap",
			says: "Features.Shared: ErrExists and ErrConflict hold between handles.",
			run: func(c *checker) {
				a, b := c.pair()
				stale := c.insert(a, "entry", "by one", at(1))
				_, err := b.Put(c.ctx, store.Entry{ID: "entry", Due: at(2)})
				c.wantErr(err, store.ErrExists, "insert of what a peer has inserted")
				e := c.put(b, store.Entry{ID: "entry", Version: stale.Version, Due: at(2), Body: []byte("by the other")})
				_, err = a.Put(c.ctx, stale)
				c.wantErr(err, store.ErrConflict, "Put at a version that a peer has replaced")
				c.wantErr(a.Delete(c.ctx, stale.ID, stale.Version), store.ErrConflict, "Delete at a version that a peer has replaced")
				c.delete(b, e)
				_, err = a.Put(c.ctx, e)
				c.wantErr(err, store.ErrConflict, "Put of what a peer has deleted")
			},
		},
		{
			name: "Shared/PeersLoseNoUpdate",
			says: "Features.Shared: compare-and-swap holds between handles, also with writers at the same time.",
			run: func(c *checker) {
				a, b := c.pair()
				c.insert(a, "counter", "0", at(1))
				c.increment("counter", 6, 10, a, b)
			},
		},
		{
			name: "Shared/OneInsertWins",
			says: "Features.Shared: of inserts at once through several handles, one is first.",
			run: func(c *checker) {
				a, b := c.pair()
				c.raceInserts(a, b)
			},
		},
		{
			name: "Shared/PeersClaimDifferentVersions",
			says: "No two claims return the same version of an entry, through whichever handle.",
			run: func(c *checker) {
				a, b := c.pair()
				c.populate(a, numbered("entry-", 72, func(i int) time.Time { return at(i % 8) }))
				c.raceClaims(72, a, b)
			},
		},
		{
			name: "Shared/PeerSeesDuesAtOnce",
			says: "Features.Shared: Claim goes by the Due that was put last, through whichever handle.",
			run: func(c *checker) {
				a, b := c.pair()
				e := c.insert(a, "entry", "body", at(50))
				c.wantClaimed(c.drain(b, at(49), at(999), 5, 1), "before a peer's Due")
				e.Due = at(20)
				e = c.put(a, e)
				got := c.drain(b, at(20), at(60), 5, 1)
				c.wantClaimed(got, "at the Due that a peer has moved", e.ID)
				c.wantClaimed(c.drain(a, at(59), at(999), 5, 1), "while a peer's claim is held")
				c.wantClaimed(c.drain(a, at(60), at(999), 5, 1), "when a peer's claim has lapsed", e.ID)
			},
		},
		{
			name: "Shared/VersionsAreNotRepeated",
			says: "No version is given twice for one ID, through whichever handle.",
			run: func(c *checker) {
				a, b := c.pair()
				var given versions
				for range 4 {
					e := c.insert(a, "entry", "the same", at(1))
					c.wantNew(&given, e)
					e = c.put(b, e)
					c.wantNew(&given, e)
					c.delete(a, e)
					a, b = b, a
				}
				c.churn(&given, a, b)
			},
		},
		{
			name: "Shared/CloseIsOfOneHandle",
			says: "Features.Shared: Close ends the handle, and not what its peers do.",
			run: func(c *checker) {
				a, b := c.pair()
				e := c.insert(a, "entry", "body", at(1))
				c.close(a)
				if _, err := a.Get(c.ctx, e.ID); !errors.Is(err, store.ErrClosed) {
					c.errorf("Get of a closed handle: got %v, want ErrClosed", err)
				}
				c.wantStored(b, e, "after the peer was closed that had written it")
				c.wantStored(b, c.put(b, e), "replaced after the peer was closed")
				c.wantClaimed(c.drain(b, at(1), at(9), 5, 1), "after the peer was closed", e.ID)
			},
		},
	}
	for i := range checks {
		checks[i].needs = shared
	}
	return checks
}

// pair returns two handles to a new store.
func (c *checker) pair() (a, b store.Store) {
	c.t.to.Helper()
	a = c.open()
	return a, c.peer(a)
}
