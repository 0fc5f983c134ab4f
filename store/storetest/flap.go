package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// flapChecks check that a store works again after its connection was cut during
// a call and came back.
func flapChecks() []check {
	checks := []check{
		{
			name: "Flap/ClaimRecovers",
			says: "What an unacknowledged claim took is due again at until.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 20, func(i int) time.Time { return at(i) })
				c.populate(s, entries)
				left := byID(entries)
				c.cutWhile(s, "Claim", func(ctx context.Context) error {
					got, err := s.Claim(ctx, at(50), at(100), 5)
					c.took(left, got)
					return err
				})
				for now := 50; now < 1000 && len(left) > 0; now += 50 { // entries of the lost claim are due again from 100 on
					c.took(left, recovered(c, "Claim", func(ctx context.Context) ([]store.Entry, error) {
						return s.Claim(ctx, at(now), at(now+40), 5)
					}))
				}
				if len(left) > 0 {
					c.errorf("claims after one whose connection was cut: got all but %d of %d entries, want all", len(left), len(entries))
				}
			},
		},
		{
			name: "Flap/GetRecovers",
			says: "A connection that was cut and is back serves the calls that follow.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				c.cutWhile(s, "Claim", func(ctx context.Context) error { _, err := s.Claim(ctx, at(0), at(9), 5); return err })
				got := recovered(c, "Get", func(ctx context.Context) (store.Entry, error) { return s.Get(ctx, e.ID) })
				c.wantEntry(got, e, "Get after a connection that was cut")
			},
		},
		{
			name: "Flap/ListRecovers",
			says: "A connection that was cut and is back serves the calls that follow: List has all entries.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 50, func(i int) time.Time { return at(i) })
				c.populate(s, entries)
				list := func(ctx context.Context) (all []store.Entry, err error) {
					for e, err := range s.List(ctx) {
						if err != nil {
							return nil, err
						}
						all = append(all, e)
					}
					return all, nil
				}
				c.cutWhile(s, "List", func(ctx context.Context) error {
					all, err := list(ctx)
					if err == nil {
						c.wantListed(byID(all), entries, "whose connection was cut, and that returned no error")
					}
					return err
				})
				c.wantListed(byID(recovered(c, "List", list)), entries, "after a connection that was cut")
			},
		},
		{
			name: "Flap/CloseReturns",
			says: "Close waits for the calls under way, and a call whose connection was cut ends.",
			run: func(c *checker) {
				s := c.backend.open()
				if s == nil {
					c.fatalf("Harness.Open returned nil, want a store")
				}
				e := c.insert(s, "entry", "body", at(1))
				c.cutWhile(s, "Claim", func(ctx context.Context) error { _, err := s.Claim(ctx, at(0), at(9), 5); return err })
				_ = s.Close() // any error is allowed
				_, err := s.Get(c.ctx, e.ID)
				c.wantErr(err, store.ErrClosed, "Get after Close")
			},
		},
		{
			name: "Flap/NoWriteComesLater",
			says: "An unacknowledged write takes effect before the same caller's next call for this entry returns, or never.",
			run:  flapNoWriteComesLater,
		},
	}
	for i := range checks {
		checks[i].needs = flapping
	}
	return checks
}

// cutWhile makes a call and cuts the connection during it. The call may return an
// error, but no wrong answer.
func (c *checker) cutWhile(s store.Store, doing string, call func(ctx context.Context) error) {
	c.t.to.Helper()
	c.backend.flap(s)
	ctx, cancel := context.WithTimeout(c.ctx, c.patience/8)
	defer cancel()
	if err := call(ctx); err != nil {
		c.wantNoAnswer(err, doing+" while its connection is cut")
	}
}

// took removes claimed entries from the remaining ones.
func (c *checker) took(left map[string]store.Entry, got []store.Entry) {
	for _, e := range got {
		delete(left, e.ID)
	}
}

// flapNoWriteComesLater makes writes fail. flapNoWriteComesLater reports a
// failure if one of them takes effect after a later call has read the entry
// without it.
func flapNoWriteComesLater(c *checker) {
	s := c.open()
	for round := range 5 {
		e := c.insert(s, fmt.Sprintf("entry-%d", round), "before", at(1))
		gone := c.insert(s, fmt.Sprintf("gone-%d", round), "before", at(1))
		after := e
		after.Body = []byte("after")
		c.cutWhile(s, "Put", func(ctx context.Context) error {
			version, err := s.Put(ctx, after)
			if err == nil {
				e = after
				e.Version = version
			}
			return ignoreOwn(err, store.ErrConflict)
		})
		c.cutWhile(s, "Delete", func(ctx context.Context) error {
			return ignoreOwn(s.Delete(ctx, gone.ID, gone.Version), store.ErrConflict)
		})
		seen := recovered(c, "Get", func(ctx context.Context) (store.Entry, error) { return s.Get(ctx, e.ID) })
		there := recovered(c, "Get", func(ctx context.Context) (bool, error) {
			_, err := s.Get(ctx, gone.ID)
			if errors.Is(err, store.ErrNotFound) {
				return false, nil
			}
			return true, err
		})
		for i := range 20 {
			c.insert(s, fmt.Sprintf("later-%d-%d", round, i), "body", never)
			c.wantStored(s, seen, "that a later call has seen, after a Put that failed")
			if !there {
				c.wantAbsent(s, gone.ID, "that a later call has not found")
			} else if _, err := s.Get(c.ctx, gone.ID); err != nil {
				c.fatalf("Get of what a later call has found, after a Delete that failed: got %v, want it there", err)
			}
		}
	}
}

// ignoreOwn returns nil for the error that a driver may get if it repeats a write
// and meets its own first try.
func ignoreOwn(err, own error) error {
	if errors.Is(err, own) {
		return nil
	}
	return err
}

// recovered repeats a call until it returns no error. The connection is back,
// so a driver must notice the reconnection within a few tries.
func recovered[T any](c *checker, doing string, call func(ctx context.Context) (T, error)) T {
	c.t.to.Helper()
	var last error
	for range 20 {
		ctx, cancel := context.WithTimeout(c.ctx, c.patience/8)
		result, err := call(ctx)
		cancel()
		if err == nil {
			return result
		}
		c.wantNoAnswer(err, doing+" after a connection that was cut")
		last = err
		time.Sleep(min(c.patience/100, 50*time.Millisecond))
	}
	c.fatalf("%s after a connection that was cut and is back: got %v 20 times, want that it recovers", doing, last)
	panic("unreachable")
}
