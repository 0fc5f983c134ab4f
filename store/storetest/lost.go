package storetest

import (
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// lostChecks check the rules for a write whose reply was lost. The caller may
// get nil, or an error that leaves the outcome open. If the backend's driver
// has sent the write a second time, ErrExists and ErrConflict may refer to the
// first try.
func lostChecks() []check {
	checks := []check{
		{
			name: "Lost/InsertTookPlaceOnce",
			says: "After any other error it is unknown whether e was stored; ErrExists may be against its own earlier try.",
			run: func(c *checker) {
				a, b := c.pair()
				c.losePut(a, b, store.Entry{ID: "entry", Due: at(1), Body: []byte("inserted")}, store.ErrExists)
			},
		},
		{
			name: "Lost/PutTookPlaceOnce",
			says: "After any other error it is unknown whether e was stored; ErrConflict may be against its own earlier try.",
			run: func(c *checker) {
				a, b := c.pair()
				e := c.insert(a, "entry", "inserted", at(1))
				e.Due, e.Body = at(2), []byte("replaced")
				c.losePut(a, b, e, store.ErrConflict)
			},
		},
		{
			name: "Lost/RepeatedPutUndoesNothing",
			says: "Put replaces the entry at exactly that Version: also one that is sent again undoes nothing that came between.",
			run: func(c *checker) {
				a, b := c.pair()
				e := c.insert(a, "entry", "inserted", at(1))
				e.Body = []byte("replaced")
				var between, later store.Entry
				var version uint64
				err := c.lose(a, func() error {
					var err error
					if between, err = b.Get(c.ctx, e.ID); err != nil {
						return err
					}
					later = between
					later.Body = []byte("later")
					later, err = put(c.ctx, b, later)
					return err
				}, func() (err error) {
					version, err = a.Put(c.ctx, e)
					return err
				})
				c.wantUnknownOr(err, store.ErrConflict, "Put whose reply was lost, and that was overtaken")
				if err == nil && version != between.Version {
					c.errorf("Put whose reply was lost, and that was overtaken: got version %d, want %d, which it had", version, between.Version)
				}
				c.wantStored(b, later, "that came between a Put and its reply")
			},
		},
		{
			name: "Lost/RepeatedPutBringsNothingBack",
			says: "Put returns ErrConflict where the entry is gone: also one that is sent again.",
			run: func(c *checker) {
				a, b := c.pair()
				e := c.insert(a, "entry", "inserted", at(1))
				e.Body = []byte("replaced")
				err := c.lose(a, func() error {
					between, err := b.Get(c.ctx, e.ID)
					if err != nil {
						return err
					}
					return b.Delete(c.ctx, e.ID, between.Version)
				}, func() error {
					_, err := a.Put(c.ctx, e)
					return err
				})
				c.wantUnknownOr(err, store.ErrConflict, "Put whose reply was lost, of what was then deleted")
				c.wantAbsent(b, e.ID, "deleted between a Put and its reply")
			},
		},
		{
			name: "Lost/RepeatedDeleteRemovesNothingElse",
			says: "Delete removes the entry at that version: also one that is sent again.",
			run: func(c *checker) {
				a, b := c.pair()
				e := c.insert(a, "entry", "inserted", at(1))
				var later store.Entry
				err := c.lose(a, func() (err error) {
					later, err = put(c.ctx, b, store.Entry{ID: e.ID, Due: at(2), Body: []byte("inserted anew")})
					return err
				}, func() error { return a.Delete(c.ctx, e.ID, e.Version) })
				c.wantUnknownOr(err, store.ErrConflict, "Delete whose reply was lost")
				c.wantStored(b, later, "inserted between a Delete and its reply")
			},
		},
		{
			name: "Lost/ClaimComesBackAtUntil",
			says: "What a claim that fails had taken comes back at until.",
			run:  lostClaimComesBack,
		},
	}
	for i := range checks {
		checks[i].needs = losing
	}
	return checks
}

// lose makes a call through s, loses the reply, and returns the result of the
// call. lose runs meanwhile before the call returns.
func (c *checker) lose(s store.Store, meanwhile func() error, call func() error) error {
	c.t.to.Helper()
	called := make(chan error, 1)
	c.backend.lose(s, func() {
		called <- c.shielded(meanwhile)
	})
	err := call()
	select {
	case failed := <-called:
		if failed != nil {
			c.fatalf("between a write and its reply: got %v, want that the write took place, and that others go on", failed)
		}
	default:
		c.fatalf("Harness.Lose: no reply was lost, want that of the write that followed")
	}
	return err
}

// losePut makes a Put whose reply is lost, and then acts as its caller would.
func (c *checker) losePut(a, b store.Store, e store.Entry, own error) {
	c.t.to.Helper()
	var version uint64
	var between store.Entry
	err := c.lose(a, func() (err error) {
		between, err = b.Get(c.ctx, e.ID)
		return err
	}, func() (err error) {
		version, err = a.Put(c.ctx, e)
		return err
	})
	c.wantUnknownOr(err, own, "Put whose reply was lost")
	stale := e.Version
	now := c.get(b, e.ID)
	e.Version = now.Version
	c.wantEntry(now, e, "Get after a Put whose reply was lost")
	if err == nil && version != now.Version {
		c.errorf("Put whose reply was lost: got version %d and nil, want %d, which is stored", version, now.Version)
	}
	if between.Version != now.Version {
		c.errorf("Get after a Put whose reply was lost: got version %d, want %d, which was there before its caller heard: it took place once", now.Version, between.Version)
	}
	if now.Version == stale {
		c.errorf("Get after a Put whose reply was lost: got the version from before it, want a new one")
	}
	c.wantStored(b, c.put(a, now), "put at the version that Get gave after a lost reply")
}

// wantUnknownOr reports a failure unless err is nil, is own, or leaves the
// outcome unknown.
func (c *checker) wantUnknownOr(err, own error, doing string) {
	c.t.to.Helper()
	for _, answer := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrCorrupt, store.ErrClosed, store.ErrInvalid} {
		if answer != own && errors.Is(err, answer) {
			c.errorf("%s: got %v, want nil, an error that says nothing, or one that is %q", doing, err, own)
		}
	}
}

func lostClaimComesBack(c *checker) {
	a, b := c.pair()
	entries := numbered("entry-", 6, func(i int) time.Time { return at(i) })
	c.populate(a, entries)
	var given versions
	for _, e := range entries {
		c.wantNew(&given, e)
	}
	var got []store.Entry
	err := c.lose(a, func() error { return nil }, func() (err error) {
		got, err = a.Claim(c.ctx, at(10), at(50), 2)
		return err
	})
	c.wantUnknownOr(err, nil, "Claim whose reply was lost")
	if err != nil && len(got) > 0 {
		c.errorf("Claim whose reply was lost: got %d entries with the error %v, want none", len(got), err)
	}
	for _, e := range got {
		c.wantStored(b, e, "claimed by a second try")
		c.wantNew(&given, e)
	}
	left := c.drain(b, at(10), at(5000), 3, len(entries))
	for _, e := range left {
		c.wantNew(&given, e)
		for _, g := range got {
			if g.ID == e.ID {
				c.errorf("claims after one whose reply was lost: got %s, which it has returned all the same", e.ID)
			}
		}
	}
	if len(left)+len(got) == len(entries) {
		c.errorf("claims after one whose reply was lost: got %d entries, want fewer: it has taken some, unless Harness.Lose lost the reply to something else", len(left))
	}
	taken := make(map[string]bool)
	for _, e := range entries {
		taken[e.ID] = true
	}
	for _, e := range left {
		delete(taken, e.ID)
	}
	var want []string
	for id := range taken {
		want = append(want, id)
	}
	back := c.drain(b, at(50), at(5000), 3, len(entries))
	c.wantClaimed(back, "when the claim has lapsed whose reply was lost", want...)
	for _, e := range back {
		c.wantNew(&given, e)
	}
}
