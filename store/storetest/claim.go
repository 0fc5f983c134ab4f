package storetest

import (
	"errors"
	"math"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// claimChecks check how one claim changes the entries that it returns.
func claimChecks() []check {
	return []check{
		{
			name: "Claim/ReturnsTheEntryAsItIsNow",
			says: "The entries returned have the new Version and Due, and their bodies.",
			run: func(c *checker) {
				s := c.open()
				before := byID([]store.Entry{c.insert(s, "first", "body of the first", at(1)), c.insert(s, "second", "body of the second", at(2))})
				got := c.drain(s, at(5), at(50), 2, 2)
				c.wantClaimed(got, "with two due", "first", "second")
				for _, e := range got {
					want := before[e.ID]
					if e.Version == want.Version || e.Version == 0 {
						c.errorf("Claim of %s at version %d: got version %d, want a new one", e.ID, want.Version, e.Version)
					}
					want.Version, want.Due = e.Version, at(50)
					c.wantEntry(e, want, "Claim")
					c.wantStored(s, e, "after its claim")
				}
			},
		},
		{
			name: "Claim/VersionsBeforeItConflict",
			says: "Claim is to each entry as a Put: versions from before it are stale.",
			run: func(c *checker) {
				s := c.open()
				stale := c.insert(s, "entry", "body", at(1))
				got := c.claim(s, at(1), at(50), 1)
				c.wantClaimed(got, "with one due", "entry")
				_, err := s.Put(c.ctx, stale)
				c.wantErr(err, store.ErrConflict, "Put at the version from before a claim")
				c.wantErr(s.Delete(c.ctx, stale.ID, stale.Version), store.ErrConflict, "Delete at the version from before a claim")
				for _, e := range got {
					c.wantStored(s, e, "after calls at the version from before its claim")
					c.wantStored(s, c.put(s, e), "after a Put at the version that the claim gave")
				}
			},
		},
		{
			name: "Claim/ComesBackAtUntil",
			says: "Claim is to each entry as a Put with Due = until.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "entry", "body", at(1))
				c.wantClaimed(c.claim(s, at(1), at(50), 9), "when it is due", "entry")
				c.wantClaimed(c.claim(s, at(1), at(50), 9), "again at once")
				c.wantClaimed(c.claim(s, at(49), at(99), 9), "a millisecond before the claim lapses")
				c.wantClaimed(c.claim(s, at(50), at(99), 9), "when the claim lapses", "entry")
			},
		},
		{
			name: "Claim/CutsItsTimesToMilliseconds",
			says: "Both times are cut to whole milliseconds.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "now", "body", at(10))
				c.insert(s, "next", "body", at(11))
				got := c.claim(s, at(10).Add(999_999), at(50).Add(999_999), 9)
				c.wantClaimed(got, "a nanosecond before the next is due", "now")
				for _, e := range got {
					if !e.Due.Equal(at(50)) {
						c.errorf("Claim until %s: got due %s, want %s", dueText(at(50).Add(999_999)), dueText(e.Due), dueText(at(50)))
					}
					c.wantStored(s, e, "after its claim")
				}
			},
		},
		{
			name: "Claim/AtMostN",
			says: "Claim returns up to n entries.",
			run: func(c *checker) {
				s := c.open()
				c.populate(s, numbered("entry-", 40, func(int) time.Time { return at(1) }))
				for _, n := range []int{1, 2, 3, 7} {
					if got := c.claim(s, at(1), at(50), n); len(got) == 0 { // claim fails on more than n entries
						c.errorf("Claim of %d with more due: got none, want at least one", n)
					}
				}
			},
		},
		{
			name: "Claim/AnyNumberMayBeAskedFor",
			says: "Claim returns up to n entries, however large n is.",
			run: func(c *checker) {
				s := c.open()
				for i, n := range []int{1000, math.MaxInt, math.MaxInt32} {
					e := c.insert(s, "entry", "body", at(i))
					c.wantClaimed(c.claim(s, at(i), at(99), n), "with a very large n", "entry")
					c.delete(s, c.get(s, e.ID))
				}
			},
		},
		{
			name: "Claim/NothingDueIsEmpty",
			says: "An empty answer means that nothing is due.",
			run: func(c *checker) {
				s := c.open()
				c.wantClaimed(c.claim(s, at(1), at(50), 9), "from an empty store")
				c.insert(s, "later", "body", at(2))
				c.insert(s, "never", "body", never)
				c.wantClaimed(c.claim(s, at(1), at(50), 9), "with nothing due yet")
				c.delete(s, c.get(s, "later"))
				c.wantClaimed(c.claim(s, at(2), at(50), 9), "when what would be due is gone")
			},
		},
		{
			name: "Claim/EmptyChangesNothing",
			says: "A claim that finds nothing writes nothing.",
			run: func(c *checker) {
				s := c.open()
				later := c.insert(s, "later", "body", at(2))
				undue := c.insert(s, "never", "body", never)
				for range 3 {
					c.wantClaimed(c.claim(s, at(1), at(50), 9), "with nothing due yet")
				}
				c.wantStored(s, later, "after claims that found nothing")
				c.wantStored(s, undue, "after claims that found nothing")
			},
		},
		{
			name: "Claim/OthersAreUntouched",
			says: "Claim is as a Put to the entries that it returns, and to no other.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 12, func(i int) time.Time { return at(i % 3) })
				c.populate(s, entries)
				later := c.insert(s, "later", "body", at(30))
				got := byID(c.claim(s, at(5), at(50), 4))
				for _, e := range entries {
					if _, claimed := got[e.ID]; !claimed {
						c.wantStored(s, e, "after a claim that returned others")
					}
				}
				c.wantStored(s, later, "after a claim that returned others")
			},
		},
		{
			name: "Claim/ClockIsTheCallers",
			says: "A store has no clock of its own; callers' clocks may differ.",
			run: func(c *checker) {
				s := c.open()
				year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
				c.insert(s, "past", "body", year(1990))
				c.insert(s, "future", "body", year(2190))
				c.wantClaimed(c.drain(s, year(1980), year(1981), 9, 2), "in 1980")
				c.wantClaimed(c.drain(s, year(2200), year(2201), 9, 2), "in 2200", "past", "future")
				// The clock of another caller is two hundred years behind.
				c.insert(s, "behind", "body", year(1995))
				c.wantClaimed(c.drain(s, year(1994), year(1996), 9, 1), "in 1994, after a claim in 2200")
				c.wantClaimed(c.drain(s, year(1995), year(1996), 9, 1), "in 1995, after a claim in 2200", "behind")
				c.wantClaimed(c.drain(s, year(1996), year(1997), 9, 1), "in 1996, after a claim in 2200", "behind")
			},
		},
		{
			name: "Claim/BadArgumentsAreErrInvalid",
			says: "A count below one or a time outside is ErrInvalid; until must be after now. Nothing is changed.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				end := lastDue.Add(time.Millisecond)
				for what, bad := range map[string]struct {
					now, until time.Time
					n          int
				}{
					"none":                           {at(5), at(50), 0},
					"a negative number":              {at(5), at(50), -1},
					"until now":                      {at(5), at(5), 1},
					"until before now":               {at(5), at(4), 1},
					"until later in the millisecond": {at(5).Add(1), at(5).Add(999_999), 1},
					"at the zero time":               {time.Time{}, at(50), 1},
					"until the zero time":            {at(5), time.Time{}, 1},
					"at the start of 1970":           {time.UnixMilli(0), at(50), 1},
					"in the year 10000":              {end, end.AddDate(1, 0, 0), 1},
					"until the year 10000":           {at(5), end, 1},
				} {
					got, err := s.Claim(c.ctx, bad.now, bad.until, bad.n)
					c.wantErr(err, store.ErrInvalid, "Claim of %s", what)
					if len(got) != 0 {
						c.errorf("Claim of %s: got %d entries, want none", what, len(got))
					}
				}
				c.wantStored(s, e, "after claims that are invalid")
			},
		},
		{
			name: "Claim/NoTwoReturnTheSameVersion",
			says: "No two claims return the same version of an entry.",
			run: func(c *checker) {
				s := c.open()
				c.populate(s, numbered("entry-", 96, func(i int) time.Time { return at(i % 8) }))
				c.raceClaims(96, s)
			},
		},
	}
}

// raceClaims runs claims from goroutines on all handles until nothing is due.
// Each entry must go to exactly one of the goroutines, because a claimed entry
// is not due again until long after.
func (c *checker) raceClaims(entries int, handles ...store.Store) {
	c.t.to.Helper()
	const claimers = 6
	answers := make([][]store.Entry, claimers)
	c.each(claimers, func(w int) error {
		for range entries + 1 {
			got, err := handles[w%len(handles)].Claim(c.ctx, at(10), at(5000), 5)
			if err != nil || len(got) == 0 {
				return err
			}
			answers[w] = append(answers[w], got...)
		}
		return errors.New("claims of entries that are due: none is empty, want an empty one when all are claimed")
	})
	var given versions
	claimed := make(map[string]int)
	for _, got := range answers {
		for _, e := range got {
			claimed[e.ID]++
			if err := given.add(e); err != nil {
				c.errorf("two claims at once: %v", err)
			}
		}
	}
	for id, n := range claimed {
		if n != 1 {
			c.errorf("claims at once: got %s %d times, want once", id, n)
		}
	}
	if len(claimed) != entries {
		c.errorf("claims at once: got %d entries, want all %d", len(claimed), entries)
	}
	for _, e := range c.list(handles[0]) {
		if err := given.add(e); err == nil {
			c.errorf("after claims at once: got %s at version %d, want one that a claim returned", e.ID, e.Version)
		}
	}
}
