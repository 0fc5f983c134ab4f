package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// listChecks check what List yields, and what the body of its loop may do.
func listChecks() []check {
	return []check{
		{
			name: "List/Empty",
			says: "List yields each entry that is there throughout.",
			run: func(c *checker) {
				s := c.open()
				if got := c.list(s); len(got) != 0 {
					c.errorf("List of an empty store: got %d entries, want none", len(got))
				}
				c.delete(s, c.insert(s, "entry", "body", at(1)))
				if got := c.list(s); len(got) != 0 {
					c.errorf("List of a store that is empty again: got %d entries, want none", len(got))
				}
			},
		},
		{
			name: "List/WholeEntries",
			says: "List yields each entry: ID, Version, Due and Body.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 30, func(i int) time.Time {
					if i%3 == 0 {
						return never
					}
					return at(i)
				})
				c.populate(s, entries)
				for _, e := range c.claim(s, at(9), at(500), 3) {
					for i := range entries {
						if entries[i].ID == e.ID {
							entries[i] = e
						}
					}
				}
				got := byID(c.list(s))
				for _, e := range entries {
					c.wantEntry(got[e.ID], e, "List")
				}
				if len(got) != len(entries) {
					c.errorf("List: got %d entries, want %d", len(got), len(entries))
				}
			},
		},
		{
			name: "List/ManyEntries",
			says: "List yields each entry that is there throughout at least once, however many there are.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 2500, func(i int) time.Time { return at(i % 10) })
				c.populate(s, entries)
				c.wantListed(byID(c.list(s)), entries, "of many")
			},
		},
		{
			name: "List/LargeBodies",
			says: "List yields each entry, however large: one page need not have them all.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 9, func(i int) time.Time { return at(i) })
				for i := range entries {
					if i%3 == 1 {
						entries[i].Body = c.large(byte(i))
					}
					entries[i] = c.put(s, entries[i])
				}
				got := byID(c.list(s))
				for _, e := range entries {
					c.wantEntry(got[e.ID], e, "List of bodies over MaxClaim together")
				}
			},
		},
		{
			name: "List/WritesInTheLoop",
			says: "The loop's body may call the store.",
			run:  listWritesInTheLoop,
		},
		{
			name: "List/WritesBesideTheLoop",
			says: "List yields each entry that is there throughout, whatever others write meanwhile.",
			run:  listWritesBesideTheLoop,
		},
		{
			name: "List/LoopInTheLoop",
			says: "The loop's body may call the store, List too.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 12, func(i int) time.Time { return at(i) })
				c.populate(s, entries)
				outer := make(map[string]store.Entry)
				for e, err := range s.List(c.ctx) {
					if err != nil {
						c.fatalf("List: got %v, want no error", err)
					}
					outer[e.ID] = e
					c.wantListed(byID(c.list(s)), entries, "within another loop")
				}
				c.wantListed(outer, entries, "with other loops within")
			},
		},
		{
			name: "List/LoopMayStop",
			says: "The loop's body may stop.",
			run: func(c *checker) {
				s := c.open()
				c.populate(s, numbered("entry-", 40, func(i int) time.Time { return at(i) }))
				for stop := range 4 {
					n := 0
					for _, err := range s.List(c.ctx) { // Go panics if List continues after a stop
						if err != nil {
							c.fatalf("List: got %v, want no error", err)
						}
						if n++; n > stop {
							break
						}
					}
					// The loop must hold no lock any more.
					c.wantStored(s, c.insert(s, fmt.Sprintf("after-%d", stop), "body", at(1)), "after a loop that stopped")
				}
				if got := len(byID(c.list(s))); got != 44 {
					c.errorf("List after loops that stopped: got %d entries, want 44", got)
				}
			},
		},
		{
			name: "List/ContextEndsInTheLoop",
			says: "The error of a context is yielded with the zero Entry, and ends the loop.",
			run: func(c *checker) {
				s := c.open()
				c.populate(s, numbered("entry-", 200, func(i int) time.Time { return at(i) }))
				ctx, cancel := context.WithCancel(c.ctx)
				defer cancel()
				n := 0
				var last error
				for e, err := range s.List(ctx) {
					if last != nil {
						c.fatalf("List after its error: got another turn, want the loop to end")
					}
					if n++; err != nil {
						c.wantEntry(e, store.Entry{}, "entry with an error of List")
					}
					last = err
					cancel()
				}
				c.wantErr(last, context.Canceled, "List whose context ended at its first of 200 entries, after %d turns", n)
			},
		},
	}
}

// wantListed reports a failure unless a list has yielded each of these entries.
func (c *checker) wantListed(listed map[string]store.Entry, entries []store.Entry, when string) {
	c.t.to.Helper()
	missing := 0
	first := ""
	for _, e := range entries {
		if _, ok := listed[e.ID]; ok {
			continue
		}
		if missing++; first == "" {
			first = e.ID
		}
	}
	if missing > 0 {
		c.errorf("List %s: got all but %d of %d entries that were there throughout (%s the first), want each at least once",
			when, missing, len(entries), first)
	}
}

// listWritesInTheLoop inserts, replaces, claims and deletes within the loop. If
// a store holds a lock or a read transaction during the loop, it hangs. If a
// store pages by position, it loses entries.
func listWritesInTheLoop(c *checker) {
	s := c.open()
	stay := numbered("stay-", 1000, func(int) time.Time { return never })
	leave := numbered("leave-", 100, func(int) time.Time { return never })
	c.populate(s, stay)
	c.populate(s, leave)
	listed := make(map[string]store.Entry)
	turn := 0
	for e, err := range s.List(c.ctx) {
		if err != nil {
			c.fatalf("List with writes in its loop: got %v after %d entries, want no error", err, len(listed))
		}
		listed[e.ID] = e
		if turn++; turn%10 != 0 || turn > 1100 { // an insert may be yielded too, so the loop has a limit
			continue
		}
		switch turn / 10 % 4 {
		case 0:
			c.insert(s, fmt.Sprintf("a-new-%05d", turn), "body", at(1))
			c.insert(s, fmt.Sprintf("z-new-%05d", turn), "body", at(1))
		case 1:
			i := turn % len(stay)
			stay[i].Body = append(stay[i].Body, " replaced"...)
			stay[i] = c.put(s, stay[i])
		case 2:
			if len(leave) > 0 {
				c.delete(s, leave[0])
				leave = leave[1:]
			}
		case 3:
			c.claim(s, at(1), at(2), 2)
			c.get(s, stay[0].ID)
		}
	}
	c.wantListed(listed, stay, "with writes in its loop")
}

// listWritesBesideTheLoop lets other goroutines write during the loop. The
// first turn of the loop waits until one of them has written.
func listWritesBesideTheLoop(c *checker) {
	s := c.open()
	stay := numbered("stay-", 300, func(i int) time.Time { return at(i) })
	c.populate(s, stay)
	want := slices.Clone(stay) // the writers continue with stay
	begun, wrote := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	written := sync.OnceFunc(func() { close(wrote) })
	c.each(4, func(w int) error {
		if w == 0 {
			defer begin()
			for range 3 {
				listed := make(map[string]store.Entry)
				for e, err := range s.List(c.ctx) {
					if err != nil {
						return fmt.Errorf("list with writes during it: got %w, want no error", err)
					}
					if len(listed) == 0 {
						begin()
						<-wrote
					}
					listed[e.ID] = e
				}
				c.wantListed(listed, want, "with writes during it")
			}
			return nil
		}
		<-begun
		defer written() // a failing goroutine must not block the loop
		for i := range 30 {
			e, err := put(c.ctx, s, store.Entry{ID: fmt.Sprintf("new-%d-%d", w, i), Body: []byte("body")})
			if err != nil {
				return err
			}
			if err := s.Delete(c.ctx, e.ID, e.Version); err != nil {
				return fmt.Errorf("delete of %s: got %w, want nil", e.ID, err)
			}
			if _, err := put(c.ctx, s, stay[i*3+w-1]); err != nil {
				return err
			}
			written()
		}
		return nil
	})
}
