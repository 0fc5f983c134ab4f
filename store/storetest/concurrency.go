package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/store"
)

// concurrencyChecks check that all callers see the same order of writes.
func concurrencyChecks() []check {
	return []check{
		{
			name: "Concurrency/NoUpdateIsLost",
			says: "Put replaces the entry that is there at exactly that Version, also with other writers at the same time.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "counter", "0", at(1))
				c.increment("counter", 8, 10, s)
			},
		},
		{
			name: "Concurrency/OneInsertWins",
			says: "Put with Version 0 returns ErrExists where there is an entry already: of inserts at once, one is first.",
			run:  func(c *checker) { c.raceInserts(c.open()) },
		},
		{
			name: "Concurrency/EqualDeletesBothSucceed",
			says: "Delete returns nil where there is no entry: of equal deletes at once none conflicts, since the entry was never at another version.",
			run: func(c *checker) {
				s := c.open()
				for round := range 20 {
					e := c.insert(s, fmt.Sprintf("entry-%d", round), "body", at(1))
					c.each(4, func(int) error {
						if err := s.Delete(c.ctx, e.ID, e.Version); err != nil {
							return fmt.Errorf("delete at the same time as equal ones: got %w, want nil", err)
						}
						return nil
					})
					c.wantAbsent(s, e.ID, "that was deleted")
				}
			},
		},
		{
			name: "Concurrency/PutOrDeleteWins",
			says: "Of a Put and a Delete of one version, one is first and the other conflicts.",
			run: func(c *checker) {
				s := c.open()
				for round := range 8 {
					e := c.insert(s, fmt.Sprintf("entry-%d", round), "body", at(1))
					errs := make([]error, 6)
					c.each(len(errs), func(i int) error {
						if i == 0 {
							errs[i] = s.Delete(c.ctx, e.ID, e.Version)
						} else {
							_, errs[i] = s.Put(c.ctx, e)
						}
						if errs[i] != nil && !errors.Is(errs[i], store.ErrConflict) {
							return fmt.Errorf("call %d of those at one version: got %w, want nil or ErrConflict", i, errs[i])
						}
						return nil
					})
					won := 0
					for _, err := range errs {
						if err == nil {
							won++
						}
					}
					if won != 1 {
						c.errorf("a Delete and 5 Puts at one version: got nil from %d, want from exactly one", won)
					}
					_, err := s.Get(c.ctx, e.ID)
					if deleted := errs[0] == nil; deleted != errors.Is(err, store.ErrNotFound) {
						c.errorf("Get after a Delete that returned %v during Puts: got %v", errs[0], err)
					}
				}
			},
		},
		{
			name: "Concurrency/ReadersSeeWholeEntries",
			says: "Body and Due are written together: no reader sees one without the other.",
			run:  readersSeeWholeEntries,
		},
		{
			name: "Concurrency/ReadersSeeReturnedWrites",
			says: "Get sees every write that had returned when it was called.",
			run: func(c *checker) {
				s := c.open()
				c.each(writers, func(w int) error {
					e := store.Entry{ID: fmt.Sprintf("entry-%d", w), Due: at(w)}
					for i := range 12 {
						e.Body = fmt.Appendf(nil, "write %d", i)
						stored, err := put(c.ctx, s, e)
						if err != nil {
							return err
						}
						got, err := s.Get(c.ctx, e.ID)
						if err != nil {
							return fmt.Errorf("get after Put %d had returned: got %w, want the entry", i, err)
						}
						if d := difference(got, stored); d != "" {
							return fmt.Errorf("get after Put %d had returned: %s", i, d)
						}
						e = stored
					}
					if err := s.Delete(c.ctx, e.ID, e.Version); err != nil {
						return fmt.Errorf("delete of %s: got %w, want nil", e.ID, err)
					}
					if _, err := s.Get(c.ctx, e.ID); !errors.Is(err, store.ErrNotFound) {
						return fmt.Errorf("get after Delete had returned: got %v, want ErrNotFound", err)
					}
					return nil
				})
			},
		},
		{
			name: "Concurrency/ClaimsLoseNoUpdate",
			says: "Claim is as a Put of the entry as it is: what others write meanwhile isn't undone.",
			run:  claimsLoseNoUpdate,
		},
		{
			name: "Concurrency/ClaimsMissNothing",
			says: "Only an empty answer means that nothing is due: not what others are writing to at that moment either.",
			run:  claimsMissNothing,
		},
	}
}

// increment adds goroutines*times to the counter with this ID, from goroutines
// on all handles. increment reports an error if the sum is wrong.
func (c *checker) increment(id string, goroutines, times int, handles ...store.Store) {
	c.t.to.Helper()
	c.each(goroutines, func(w int) error { return increment(c.ctx, handles[w%len(handles)], id, times) })
	want := strconv.Itoa(goroutines * times)
	for _, s := range handles {
		if got := c.get(s, id); string(got.Body) != want {
			c.errorf("%d increments from %d goroutines: got %s, want %s", goroutines*times, goroutines, bodyText(got.Body), want)
		}
	}
}

// claimsLoseNoUpdate increments a counter while another goroutine claims it a
// number of times. Each increment makes the entry due again. A claimed entry is not
// due before the next increment, so a Put conflicts with at most one claim.
func claimsLoseNoUpdate(c *checker) {
	const claims = 12
	s := c.open()
	c.insert(s, "counter", "0", at(0))
	due := make(chan struct{}, 1)
	claimed, done := make(chan struct{}), make(chan struct{})
	times := 0
	c.each(2, func(i int) error {
		if i == 0 {
			defer close(done)
			for {
				select {
				case <-claimed:
					return nil
				default:
				}
				if err := increment(c.ctx, s, "counter", 1); err != nil {
					return err
				}
				times++
				select {
				case due <- struct{}{}:
				default:
				}
			}
		}
		defer close(claimed)
		for range claims {
			select {
			case <-due:
			case <-done:
				return nil
			}
			if _, err := s.Claim(c.ctx, at(5), at(5000), 1); err != nil {
				return fmt.Errorf("claim: got %w, want nil", err)
			}
		}
		return nil
	})
	if got := c.get(s, "counter"); string(got.Body) != strconv.Itoa(times) {
		c.errorf("%d increments during claims: got %s, want %d", times, bodyText(got.Body), times)
	}
}

// claimsMissNothing claims the only entry while another caller writes to it.
// Every write leaves the entry due. Each claim begins after a write has
// returned, and that write began after the previous claim. No claim may
// therefore be empty.
func claimsMissNothing(c *checker) {
	const claims = 40
	s := c.open()
	c.insert(s, "entry", "0", at(0))
	var claimed atomic.Int64 // the number of claims that have returned
	put, done, gone := make(chan int64), make(chan struct{}), make(chan struct{})
	c.each(2, func(i int) error {
		if i == 0 {
			defer close(gone)
			for {
				select {
				case <-done:
					return nil
				default:
				}
				before := claimed.Load()
				if err := increment(c.ctx, s, "entry", 1); err != nil {
					return err
				}
				select {
				case put <- before:
				default:
				}
			}
		}
		defer close(done)
		for n := range int64(claims) {
			for waiting := true; waiting; {
				select {
				case before := <-put:
					waiting = before < n
				case <-gone:
					return nil
				}
			}
			got, err := s.Claim(c.ctx, at(5), at(5000), 1)
			if err != nil {
				return fmt.Errorf("claim: got %w, want nil", err)
			}
			if len(got) != 1 {
				return fmt.Errorf("claim %d of an entry that is due all the time, during Puts of it: got none, want it", n)
			}
			claimed.Add(1)
		}
		return nil
	})
}

// increment adds one to a counter, times times, by compare-and-swap.
func increment(ctx context.Context, s store.Store, id string, times int) error {
	const tries = 20_000 // each lost try means that another goroutine has won
	done := 0
	for range tries {
		e, err := s.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("get of a counter: got %w, want the entry", err)
		}
		n, err := strconv.Atoi(string(e.Body))
		if err != nil {
			return fmt.Errorf("get of a counter: got body %s, want a number", bodyText(e.Body))
		}
		e.Body, e.Due = strconv.AppendInt(nil, int64(n+1), 10), at(0)
		_, err = s.Put(ctx, e)
		switch {
		case errors.Is(err, store.ErrConflict):
		case err != nil:
			return fmt.Errorf("put of a counter: got %w, want nil or ErrConflict", err)
		default:
			if done++; done == times {
				return nil
			}
		}
	}
	return fmt.Errorf("%d Puts of a counter at the version that Get had given: got ErrConflict from all but %d, want %d to succeed", tries, done, times)
}

// raceInserts inserts some IDs from many goroutines on all handles. The stored
// entry must be the entry of the one insert that returned nil.
func (c *checker) raceInserts(handles ...store.Store) {
	c.t.to.Helper()
	const racers = 8
	for round := range 6 {
		id := fmt.Sprintf("entry-%d", round)
		won := make([]store.Entry, racers)
		c.each(racers, func(w int) error {
			e := store.Entry{ID: id, Due: at(w), Body: fmt.Appendf(nil, "by %d", w)}
			version, err := handles[w%len(handles)].Put(c.ctx, e)
			if err != nil {
				if !errors.Is(err, store.ErrExists) {
					return fmt.Errorf("one of %d inserts at once: got %w, want nil or ErrExists", racers, err)
				}
				return nil
			}
			e.Version = version
			won[w] = e
			return nil
		})
		wins := 0
		for _, e := range won {
			if e.ID == "" {
				continue
			}
			wins++
			for _, s := range handles {
				c.wantStored(s, e, "whose insert had won")
			}
		}
		if wins != 1 {
			c.errorf("%d inserts of one ID at once: got nil from %d, want from exactly one", racers, wins)
		}
	}
}

// readersSeeWholeEntries writes bodies and Dues; those of one Put contain the
// same number. The body is long enough that a half-written one could be seen.
func readersSeeWholeEntries(c *checker) {
	s := c.open()
	const last = 60
	body := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 2000+n) }
	whole := func(e store.Entry, where string) error {
		if len(e.Body) == 0 || !bytes.Equal(e.Body, body(int(e.Body[0]))) {
			return fmt.Errorf("%s during Puts: got body %s, want that of one Put", where, bodyText(e.Body))
		}
		if want := at(int(e.Body[0])); !e.Due.Equal(want) {
			return fmt.Errorf("%s during Puts: got due %s with the body of Put %d, want %s", where, dueText(e.Due), e.Body[0], dueText(want))
		}
		return nil
	}
	c.put(s, store.Entry{ID: "entry", Due: at(1), Body: body(1)})
	done := make(chan struct{})
	c.each(4, func(w int) error {
		if w == 0 {
			defer close(done)
			e, err := s.Get(c.ctx, "entry")
			for n := 2; n <= last && err == nil; n++ {
				e.Body, e.Due = body(n), at(n)
				e, err = put(c.ctx, s, e)
			}
			return err
		}
		for {
			select {
			case <-done:
				return nil
			default:
			}
			if w == 1 {
				for e, err := range s.List(c.ctx) {
					if err == nil {
						err = whole(e, "List")
					}
					if err != nil {
						return err
					}
				}
				continue
			}
			e, err := s.Get(c.ctx, "entry")
			if err == nil {
				err = whole(e, "Get")
			}
			if err != nil {
				return err
			}
		}
	})
	c.wantClaimed(c.drain(s, at(last-1), at(5000), 1, 1), "before the last Due")
	c.wantClaimed(c.drain(s, at(last), at(5000), 1, 1), "at the last Due", "entry")
}
