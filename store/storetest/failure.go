package storetest

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// breakChecks check that an unreachable store returns errors, and no answers.
func breakChecks() []check {
	var checks []check
	for i, name := range []string{"Get", "Insert", "Put", "Delete", "Claim", "List"} {
		checks = append(checks, check{
			name:  "Break/" + name + "Fails",
			says:  "An entry is never reported as absent unless it is known to be: out of reach is an error, and no answer.",
			needs: breakable,
			run: func(c *checker) {
				s, e := c.broken()
				ctx, cancel := context.WithTimeout(c.ctx, c.patience/8)
				defer cancel()
				c.wantNoAnswer(callsOn(e)[i].do(ctx, s), name)
			},
		})
	}
	return append(checks,
		check{
			name:  "Break/AbsentIsNotKnown",
			says:  "An entry is never reported as absent unless it is known to be.",
			needs: breakable,
			run: func(c *checker) {
				s, e := c.broken()
				e.ID = "absent"
				ctx, cancel := context.WithTimeout(c.ctx, c.patience/8)
				defer cancel()
				names := []string{"Get", "", "Put", "Delete"}
				c.each(len(names), func(i int) error { // the calls run at the same time, because each may take long to fail
					if names[i] != "" {
						c.wantNoAnswer(callsOn(e)[i].do(ctx, s), names[i]+" of an entry that was never there")
					}
					return nil
				})
			},
		},
		check{
			name:  "Break/ErrorsAreWrapped",
			says:  "Every error is wrapped exactly once in an *Error.",
			needs: breakable,
			run: func(c *checker) {
				s, e := c.broken()
				ctx, cancel := context.WithTimeout(c.ctx, c.patience/8)
				defer cancel()
				calls := callsOn(e)
				c.each(len(calls), func(i int) error { // the calls run at the same time, because each may take long to fail
					if err := calls[i].do(ctx, s); err != nil {
						c.wantWrapped(failure{calls[i].op + " of a store out of reach", calls[i].op, err})
					}
					return nil
				})
			},
		},
		check{
			name:  "Break/CloseReturns",
			says:  "After Close every call gets ErrClosed, also where the store was out of reach.",
			needs: breakable,
			run: func(c *checker) {
				s, e := c.broken()
				_ = s.Close() // any error is allowed
				for _, call := range callsOn(e) {
					c.wantErr(call.do(c.ctx, s), store.ErrClosed, "%s after Close of a store out of reach", call.op)
				}
			},
		},
	)
}

// broken returns a store that can no longer be reached, and an entry in it.
func (c *checker) broken() (store.Store, store.Entry) {
	c.t.to.Helper()
	s := c.backend.open()
	if s == nil {
		c.fatalf("Harness.Open returned nil, want a store")
	}
	c.closers = append(c.closers, func() { _ = s.Close() }) // Close may fail here
	e := c.insert(s, "entry", "body", at(1))
	c.backend.sever(s)
	return s, e
}

// wantNoAnswer reports a failure unless err says only that the call failed.
func (c *checker) wantNoAnswer(err error, doing string) {
	c.t.to.Helper()
	if err == nil {
		c.errorf("%s of a store out of reach: got nil, want an error", doing)
	}
	for _, answer := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrCorrupt, store.ErrClosed, store.ErrInvalid} {
		if errors.Is(err, answer) {
			c.errorf("%s of a store out of reach: got %v, which is an answer, want another error", doing, err)
		}
	}
}

// corruptChecks check that damage is detected and affects no other entry.
func corruptChecks() []check {
	return []check{
		{
			name:  "Corrupt/GetIsErrCorrupt",
			says:  "What is found damaged is ErrCorrupt.",
			needs: corruptible,
			run: func(c *checker) {
				s, e, _ := c.damaged()
				_, err := s.Get(c.ctx, e.ID)
				c.wantErr(err, store.ErrCorrupt, "Get of a damaged entry")
				if err != nil {
					c.wantWrapped(failure{"Get of a damaged entry", "get", err})
				}
			},
		},
		{
			name:  "Corrupt/IsNotAbsent",
			says:  "An entry is never reported as absent unless it is known to be.",
			needs: corruptible,
			run: func(c *checker) {
				s, e, _ := c.damaged()
				if _, err := s.Get(c.ctx, e.ID); errors.Is(err, store.ErrNotFound) {
					c.errorf("Get of a damaged entry: got %v, want ErrCorrupt: it isn't absent", err)
				}
				if _, err := s.Put(c.ctx, store.Entry{ID: e.ID, Due: at(1)}); err == nil {
					c.errorf("insert over a damaged entry: got nil, want an error")
				}
				if err := s.Delete(c.ctx, e.ID, e.Version+1); err == nil {
					c.errorf("Delete of a damaged entry at a version it isn't at: got nil, want an error")
				}
			},
		},
		{
			name:  "Corrupt/OthersAreReadable",
			says:  "What is found damaged is ErrCorrupt; the others are what they were.",
			needs: corruptible,
			run: func(c *checker) {
				s, _, others := c.damaged()
				for i, e := range others {
					c.wantStored(s, e, "next to a damaged entry")
					if i%2 == 0 {
						c.wantStored(s, c.put(s, e), "replaced next to a damaged entry")
					} else {
						c.delete(s, e)
					}
				}
			},
		},
		{
			name:  "Corrupt/OthersAreClaimable",
			says:  "A damaged entry doesn't keep the others from being claimed.",
			needs: corruptible,
			run: func(c *checker) {
				for _, n := range []int{1, 100} {
					s, bad, others := c.damaged()
					left := byID(others)
					failed := 0
					// Each result has at least one of the other entries until
					// none is left. A few errors in between may report the
					// damage.
					for turn := 0; len(left) > 0 && turn < 3*len(others); turn++ {
						got, err := s.Claim(c.ctx, at(50), at(5000), n)
						if err != nil {
							failed++
							c.wantErr(err, store.ErrCorrupt, "Claim next to a damaged entry")
						}
						for _, e := range got {
							if e.ID == bad.ID {
								c.errorf("Claim of %d next to a damaged entry: got the damaged one, want only others", n)
							} else if _, due := left[e.ID]; !due {
								c.errorf("Claim of %d next to a damaged entry: got %s twice, want it once", n, e.ID)
							}
							delete(left, e.ID)
						}
					}
					for id := range left {
						c.errorf("claims of %d next to a damaged entry, %d of them failed: got all but %s, want it too", n, failed, id)
					}
				}
			},
		},
		{
			name:  "Corrupt/ClaimsComeToAnEnd",
			says:  "Only an empty answer means that nothing is due: a damaged entry isn't claimed over and over.",
			needs: corruptible,
			run: func(c *checker) {
				s, _, others := c.damaged()
				for range 3*len(others) + 1 {
					got, err := s.Claim(c.ctx, at(50), at(5000), 3)
					if err == nil && len(got) == 0 {
						return
					}
					if err != nil {
						c.wantErr(err, store.ErrCorrupt, "Claim next to a damaged entry")
					}
				}
				// a store that still returns ErrCorrupt reports the damage, and
				// so passes too
				if got, err := s.Claim(c.ctx, at(50), at(5000), 3); err == nil && len(got) > 0 {
					c.errorf("claims next to a damaged entry: got %d entries after all others were claimed, want none", len(got))
				}
			},
		},
		{
			name:  "Corrupt/ListSaysSo",
			says:  "What is found damaged is ErrCorrupt: a list that leaves it out would report it as absent.",
			needs: corruptible,
			run: func(c *checker) {
				s, bad, _ := c.damaged()
				var first error
				for e, err := range s.List(c.ctx) {
					if err == nil && e.ID == bad.ID {
						c.errorf("List with a damaged entry: got it with body %s, want ErrCorrupt", bodyText(e.Body))
					}
					first = cmp.Or(first, err)
				}
				c.wantErr(first, store.ErrCorrupt, "List with a damaged entry")
			},
		},
		{
			name:  "Corrupt/ListGoesOn",
			says:  "A damaged entry is yielded as ErrCorrupt, and List goes on behind it.",
			needs: corruptible,
			run: func(c *checker) {
				s, _, others := c.damaged()
				var all []store.Entry
				for e, err := range s.List(c.ctx) {
					if err == nil {
						all = append(all, e)
					} else {
						c.wantErr(err, store.ErrCorrupt, "List with a damaged entry")
					}
				}
				c.wantListed(byID(all), others, "with a damaged entry")
			},
		},
	}
}

// damaged returns a store with a damaged entry, which is due first, and some
// other due entries.
func (c *checker) damaged() (s store.Store, bad store.Entry, others []store.Entry) {
	c.t.to.Helper()
	s = c.open()
	bad = c.insert(s, "damaged", "what is kept of this is damaged", at(1))
	others = numbered("other-", 12, func(i int) time.Time { return at(10 + i) })
	c.populate(s, others)
	c.backend.damage(s, bad.ID)
	return s, bad, others
}
