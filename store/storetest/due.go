package storetest

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// The first and the last valid Due: after the start of 1970, and before the
// start of 10000.
var (
	firstDue = time.UnixMilli(1)
	lastDue  = time.UnixMilli(253402300799999)
)

// dueChecks check which Dues are valid, and when an entry is claimed.
func dueChecks() []check {
	return []check{
		{
			name: "Due/ZeroIsNever",
			says: "The zero time means never.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "never", "body", never)
				c.wantStored(s, e, "with no Due")
				moved := c.insert(s, "moved", "body", at(1))
				moved.Due = never
				moved = c.put(s, moved)
				c.wantStored(s, moved, "with its Due taken away")
				c.wantClaimed(c.drain(s, lastDue.Add(-time.Millisecond), lastDue, 10, 2), "with no Due")
				for _, got := range c.list(s) {
					if !got.Due.IsZero() {
						c.errorf("List of %s: got due %s, want the zero time", got.ID, dueText(got.Due))
					}
				}
			},
		},
		{
			name: "Due/IsCutToMilliseconds",
			says: "Due is in whole milliseconds; the rest is dropped.",
			run: func(c *checker) {
				s := c.open()
				for _, rest := range []time.Duration{1, 499_999, 500_000, 999_999} {
					e := c.put(s, store.Entry{ID: "entry", Due: at(7).Add(rest), Body: []byte("body")})
					e.Due = at(7)
					c.wantStored(s, e, "put with a Due %v after a whole millisecond", rest)
					c.wantClaimed(c.claim(s, at(6).Add(999_999), at(99), 1), "a nanosecond before its millisecond")
					got := c.claim(s, at(7), at(99), 1)
					c.wantClaimed(got, "in the millisecond of its Due", "entry")
					c.delete(s, c.get(s, "entry"))
				}
			},
		},
		{
			name: "Due/ReachedAtItsMillisecond",
			says: "Claim returns entries whose Due is not after now.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "before", "body", at(9))
				c.insert(s, "now", "body", at(10))
				after := c.insert(s, "after", "body", at(11))
				c.wantClaimed(c.drain(s, at(10), at(50), 10, 2), "at the Due of the second of three", "before", "now")
				c.wantStored(s, after, "while it is due a millisecond after now")
				c.wantClaimed(c.drain(s, at(11), at(50), 10, 1), "a millisecond later", "after")
			},
		},
		{
			name: "Due/BothEndsOfTimeAreKept",
			says: "Any other Due lies after the start of 1970 and before the year 10000.",
			run: func(c *checker) {
				s := c.open()
				first := c.insert(s, "first", "body", firstDue)
				last := c.insert(s, "last", "body", lastDue.Add(-time.Millisecond))
				over := c.insert(s, "over", "body", lastDue)
				for _, e := range []store.Entry{first, last, over} {
					c.wantStored(s, e, "at an end of time")
				}
				c.wantClaimed(c.drain(s, firstDue, at(0), 10, 1), "a millisecond into 1970", "first")
				c.wantClaimed(c.drain(s, at(-1), at(0), 10, 1), "before any other is due")
				c.wantClaimed(c.drain(s, lastDue.Add(-time.Millisecond), lastDue, 10, 2), "a millisecond before the end", "first", "last")
				for _, id := range []string{"first", "last", "over"} {
					if got := c.get(s, id); !got.Due.Equal(lastDue) {
						c.errorf("Get of %s: got due %s, want %s", id, dueText(got.Due), dueText(lastDue))
					}
				}
			},
		},
		{
			name: "Due/OutsideIsErrInvalid",
			says: "A time outside what Entry says is ErrInvalid, and nothing is changed.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				for _, due := range []time.Time{time.UnixMilli(0), time.UnixMilli(-1), time.Time{}.Add(1), lastDue.Add(time.Millisecond), lastDue.AddDate(9999, 0, 0)} {
					_, err := s.Put(c.ctx, store.Entry{ID: "new", Due: due, Body: []byte("body")})
					c.wantErr(err, store.ErrInvalid, "insert with due %s", dueText(due))
					_, err = s.Put(c.ctx, store.Entry{ID: e.ID, Version: e.Version, Due: due, Body: []byte("late")})
					c.wantErr(err, store.ErrInvalid, "Put with due %s", dueText(due))
				}
				c.wantAbsent(s, "new", "after inserts that are invalid")
				c.wantStored(s, e, "after Puts that are invalid")
			},
		},
		{
			name: "Due/OfAnyZone",
			says: "Due is a time, in whichever zone its caller has it.",
			run: func(c *checker) {
				s := c.open()
				east, west := time.FixedZone("east", 14*3600), time.FixedZone("west", -11*3600)
				c.wantStored(s, c.insert(s, "east", "body", at(10).In(east)), "with a Due in another zone")
				c.wantStored(s, c.insert(s, "west", "body", at(10).In(west)), "with a Due in another zone")
				c.wantClaimed(c.drain(s, at(9).In(east), at(99).In(west), 10, 1), "a millisecond early")
				got := c.drain(s, at(10).In(west), at(99).In(east), 10, 2)
				c.wantClaimed(got, "when they are due", "east", "west")
				for _, e := range got {
					if !e.Due.Equal(at(99)) {
						c.errorf("Claim of %s: got due %s, want %s", e.ID, dueText(e.Due), dueText(at(99)))
					}
				}
			},
		},
		{
			name: "Due/ChangesWithTheBody",
			says: "Body and Due are written together or not at all.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "first", at(10))
				e.Body, e.Due = []byte("second"), at(20)
				stale := e.Version
				e = c.put(s, e)
				c.wantStored(s, e, "after body and Due were changed")
				for _, late := range []store.Entry{{ID: "entry", Due: at(5)}, {ID: "entry", Version: stale, Due: at(5)}} {
					if _, err := s.Put(c.ctx, late); err == nil {
						c.errorf("Put at version %d of an entry at %d: got nil, want an error", late.Version, e.Version)
					}
				}
				c.wantStored(s, e, "after Puts that failed")
			},
		},
		{
			name: "Due/MovedByPut",
			says: "Put replaces the entry, Due included.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(10))
				for _, move := range []struct {
					what string
					due  time.Time
				}{{"later", at(30)}, {"sooner", at(20)}, {"to never", never}, {"from never", at(25)}, {"not at all", at(25)}} {
					e.Due = move.due
					e = c.put(s, e)
					before := at(5000)
					if !move.due.IsZero() {
						before = move.due.Add(-time.Millisecond)
					}
					c.wantClaimed(c.drain(s, before, at(9999), 10, 1), "before the entry is due, moved "+move.what)
				}
				c.wantClaimed(c.drain(s, at(25), at(99), 10, 1), "at the Due it was moved to last", "entry")
			},
		},
		{
			name: "Due/PutBackKeepsTheClaim",
			says: "To keep a claim, put the Due back that Get or Claim gave.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "by-claim", "body", at(0))
				c.insert(s, "by-get", "body", at(0))
				for id, e := range byID(c.drain(s, at(0), at(50), 2, 2)) {
					if id == "by-get" {
						e = c.get(s, id)
					}
					e.Body = append(e.Body, " worked on"...)
					c.wantStored(s, c.put(s, e), "after the claim's holder wrote")
				}
				c.wantClaimed(c.drain(s, at(49), at(99), 2, 2), "while the claim is held")
				c.wantClaimed(c.drain(s, at(50), at(99), 2, 2), "when the claim has lapsed", "by-claim", "by-get")
			},
		},
		{
			name: "Due/SetByTheHolderReplacesTheClaim",
			says: "Put replaces the entry, Due included, also under a claim.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "entry", "body", at(0))
				for _, e := range c.claim(s, at(0), at(50), 1) {
					e.Due = at(20)
					c.put(s, e)
				}
				c.wantClaimed(c.drain(s, at(19), at(99), 1, 1), "before the Due that the holder set")
				c.wantClaimed(c.drain(s, at(20), at(99), 1, 1), "at the Due that the holder set", "entry")
			},
		},
	}
}
