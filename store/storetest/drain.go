package storetest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// drainChecks check that successive claims return everything that is due.
func drainChecks() []check {
	return []check{
		{
			name: "Claim/DrainsAllThatIsDue",
			says: "Only an empty answer means that nothing is due.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 300, func(i int) time.Time { return at(i % 50) })
				c.populate(s, entries)
				var want []string
				for i, e := range entries {
					if i%50 <= 30 {
						want = append(want, e.ID)
					}
				}
				c.wantClaimed(c.drain(s, at(30), at(5000), 11, len(want)), "until nothing is due", want...)
			},
		},
		{
			name: "Claim/ManyOfOneMillisecond",
			says: "Due is a time, not a key: any number of entries may have the same.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 50, func(int) time.Time { return at(3) })
				c.populate(s, entries)
				var want []string
				for _, e := range entries {
					want = append(want, e.ID)
				}
				c.wantClaimed(c.drain(s, at(3), at(7), 50, 50), "of one millisecond", want...)
				c.wantClaimed(c.drain(s, at(7), at(9), 3, 50), "of one millisecond, set by a claim", want...)
			},
		},
		{
			name: "Claim/LargeBodiesDrain",
			says: "A backend stops near MaxClaim bytes of bodies: only an empty answer means that nothing is due.",
			run: func(c *checker) {
				s := c.open()
				var want []string
				for i := range 5 {
					want = append(want, fmt.Sprintf("large-%d", i))
					c.put(s, store.Entry{ID: want[i], Due: at(i), Body: bytes.Repeat([]byte{byte(i)}, c.maxBody()/2)})
				}
				got := c.drain(s, at(9), at(5000), 100, len(want))
				c.wantClaimed(got, "of bodies over MaxClaim together", want...)
				for _, e := range got {
					if i := int(e.ID[len(e.ID)-1] - '0'); !bytes.Equal(e.Body, bytes.Repeat([]byte{byte(i)}, c.maxBody()/2)) {
						c.errorf("Claim of %s: got body %s, want its own of %d bytes", e.ID, bodyText(e.Body), c.maxBody()/2)
					}
				}
			},
		},
		{
			name: "Claim/OneEntryHoweverLarge",
			says: "One entry is always returned, however large.",
			run: func(c *checker) {
				s := c.open()
				var want []string
				for i := range 3 {
					want = append(want, fmt.Sprintf("largest-%d", i))
					c.put(s, store.Entry{ID: want[i], Due: at(i), Body: c.large(byte(i))})
				}
				c.wantClaimed(c.drain(s, at(9), at(5000), 2, len(want)), "of bodies of MaxStored", want...)
			},
		},
		{
			name:  "Claim/OldestFirst",
			says:  "Features.Ordered: Claim is oldest first over the whole store.",
			needs: ordered,
			run: func(c *checker) {
				s := c.open()
				// Steps of 37 modulo 101 give an order that differs from the
				// order of the IDs and from the order of the inserts.
				entries := numbered("entry-", 101, func(i int) time.Time { return at(i * 37 % 101) })
				c.populate(s, entries)
				due := byID(entries)
				next := 0
				for _, e := range c.drain(s, at(100), at(5000), 7, len(entries)) {
					if got := due[e.ID].Due; !got.Equal(at(next)) {
						c.fatalf("entry %d claimed: got one due %s, want the oldest, due %s", next, dueText(got), dueText(at(next)))
					}
					next++
				}
				if next != len(entries) {
					c.errorf("claims until nothing is due: got %d entries, want %d", next, len(entries))
				}
			},
		},
		{
			name: "Claim/NothingStarves",
			says: "No due entry waits behind younger ones forever.",
			run:  func(c *checker) { c.nothingStarves("body") },
		},
		{
			name: "Claim/LargeOnesDontStarve",
			says: "No due entry waits behind younger ones forever, however large it is.",
			run:  func(c *checker) { c.nothingStarves(string(c.large(1))) },
		},
	}
}

// nothingStarves keeps more entries due than each claim returns. New entries
// arrive, and the first entry of each claim is due again at once. In the end,
// the three entries that are older than all others must have been claimed. The
// oldest one has the given body.
func (c *checker) nothingStarves(body string) {
	c.t.to.Helper()
	s := c.open()
	c.populate(s, numbered("young-", 24, func(i int) time.Time { return at(100 + i) }))
	waiting := map[string]bool{
		c.insert(s, "000-old", body, at(1)).ID:     true,
		c.insert(s, "zzz-old", "body", at(2)).ID:   true,
		c.insert(s, "old-soon", "body", at(99)).ID: true,
	}
	const rounds = 250
	for round := range rounds {
		now := at(200 + 2*round)
		got := c.claim(s, now, at(1_000_000), 3)
		if len(got) == 0 {
			c.fatalf("claim %d with more due than it asked for: got none, want at least one", round)
		}
		for i, e := range got {
			delete(waiting, e.ID)
			if i == 0 {
				e.Due = now
				c.put(s, e)
			}
		}
		if len(waiting) == 0 {
			return
		}
		for i := range 2 {
			c.insert(s, fmt.Sprintf("new-%03d-%d", round, i), "body", now)
		}
	}
	for id := range waiting {
		c.errorf("%d claims of 3 with younger entries arriving: got all but %s, want the older ones too", rounds, id)
	}
}
