package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// optionalChecks check that a store declares the optional interfaces that it
// implements.
func optionalChecks() []check {
	return []check{{
		name: "Optional/LimitIsDeclared",
		says: "MaxBody returns how large a Body may be: less than MaxStored, and what the harness declares.",
		run: func(c *checker) {
			got := store.MaxStored
			if l, ok := c.open().(store.Limiter); ok {
				got = l.MaxBody()
			}
			if got != c.maxBody() {
				c.errorf("MaxBody of the store: got %d, want %d as Features.MaxBody declares", got, c.maxBody())
			}
		},
	}, {
		name: "Optional/ServedIsDeclared",
		says: "A type that has the method of an optional interface and can't serve it returns errors.ErrUnsupported.",
		run: func(c *checker) {
			s := c.open()
			if p, ok := s.(store.Pager); ok && !c.features.Pager {
				_, err := p.Page(c.ctx, "", 1)
				c.wantErr(err, errors.ErrUnsupported, "Page of a store whose harness doesn't declare Features.Pager")
			}
			if p, ok := s.(store.Counter); ok && !c.features.Counter {
				_, err := p.Count(c.ctx)
				c.wantErr(err, errors.ErrUnsupported, "Count of a store whose harness doesn't declare Features.Counter")
			}
			if p, ok := s.(store.Notifier); ok && !c.features.Notifier {
				_, err := p.Watch(c.ctx)
				c.wantErr(err, errors.ErrUnsupported, "Watch of a store whose harness doesn't declare Features.Notifier")
			}
		},
	}}
}

// served returns the store as the optional interface that its harness declares.
func served[T any](c *checker, s store.Store) T {
	c.t.to.Helper()
	t, ok := s.(T)
	if !ok {
		c.fatalf("%T does not implement %T, which its harness declares", s, (*T)(nil))
	}
	return t
}

// page reads one page. A failure ends the check.
func (c *checker) page(s store.Store, after string, n int) []store.Entry {
	c.t.to.Helper()
	page, err := served[store.Pager](c, s).Page(c.ctx, after, n)
	if err != nil {
		c.fatalf("Page of %d after %q: got %v, want nil", n, after, err)
	}
	if len(page) > n {
		c.fatalf("Page of %d after %q: got %d entries, want no more than asked for", n, after, len(page))
	}
	return page
}

// pages reads pages of n entries that follow after, until a page is empty. If
// none of the first most pages is empty, the check fails.
func (c *checker) pages(s store.Store, after string, n, most int) []store.Entry {
	c.t.to.Helper()
	var all []store.Entry
	for range most {
		page := c.page(s, after, n)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = page[len(page)-1].ID
	}
	c.fatalf("Page of %d: got no empty page among %d, want one behind the last entry", n, most)
	return nil
}

// wantOnce reports a failure unless got has exactly the entries of want, each once.
func (c *checker) wantOnce(got, want []store.Entry, when string) {
	c.t.to.Helper()
	times := make(map[string]int)
	for _, e := range got {
		times[e.ID]++
	}
	have := byID(got)
	for _, e := range want {
		if times[e.ID] != 1 {
			c.errorf("pages %s: got %s %d times, want it once", when, e.ID, times[e.ID])
			continue
		}
		c.wantEntry(have[e.ID], e, "pages %s", when)
	}
	if len(got) > len(want) {
		c.errorf("pages %s: got %d entries, want %d", when, len(got), len(want))
	}
}

// scattered returns entries whose IDs are not in the order of their numbers.
func scattered(n int) []store.Entry {
	entries := make([]store.Entry, n)
	for i := range entries {
		id := fmt.Sprintf("%x-%d", uint32(i)*2654435761, i)
		entries[i] = store.Entry{ID: id, Body: []byte("body of " + id)}
		if i%3 != 0 {
			entries[i].Due = at(i % 7)
		}
	}
	return entries
}

// pageChecks check the contract of store.Pager.
func pageChecks() []check {
	return []check{
		{
			name:  "Page/EachEntryOnce",
			says:  "Entries that are there throughout are on exactly one page, in one fixed order.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				entries := scattered(300)
				c.populate(s, entries)
				first := c.pages(s, "", 1000, 302)
				c.wantOnce(first, entries, "of 1000")
				for _, n := range []int{1, 7, 100} {
					got := c.pages(s, "", n, 302)
					c.wantOnce(got, entries, fmt.Sprintf("of %d", n))
					for i := range min(len(got), len(first)) {
						if got[i].ID != first[i].ID {
							c.fatalf("pages of %d: got %s as number %d, want %s: in the order of another page size", n, got[i].ID, i, first[i].ID)
						}
					}
				}
			},
		},
		{
			name:  "Page/OrderStays",
			says:  "The order is fixed for the life of the store.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				entries := scattered(60)
				c.populate(s, entries)
				before := c.pages(s, "", 9, 62)
				for i, e := range before {
					if i%2 == 0 {
						e.Due = at(100 - i)
						c.put(s, e)
					}
				}
				c.claim(s, at(5), at(9), 20)
				c.populate(s, numbered("new-", 20, func(int) time.Time { return never }))
				place := make(map[string]int)
				for i, e := range c.pages(s, "", 9, 90) {
					place[e.ID] = i + 1
				}
				last := 0
				for _, e := range before {
					if place[e.ID] <= last {
						c.errorf("pages after other writes: got %s as number %d, want it behind number %d", e.ID, place[e.ID], last)
					}
					last = place[e.ID]
				}
			},
		},
		{
			name:  "Page/EmptyIsTheEnd",
			says:  "Only an empty page is the last one.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				if got := c.page(s, "", 10); len(got) != 0 {
					c.errorf("Page of an empty store: got %d entries, want none", len(got))
				}
				e := c.insert(s, "entry", "body", at(1))
				c.wantOnce(c.pages(s, "", 1, 3), []store.Entry{e}, "with one entry")
				if got := c.page(s, e.ID, 10); len(got) != 0 {
					c.errorf("Page after the last entry: got %d entries, want none", len(got))
				}
			},
		},
		{
			name:  "Page/AfterMayBeGone",
			says:  "There may be no entry with the ID after any more.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				entries := scattered(40)
				c.populate(s, entries)
				order := c.pages(s, "", 40, 42)
				c.delete(s, order[19])
				c.wantOnce(c.pages(s, order[19].ID, 7, 42), order[20:], "after an entry that is gone")
			},
		},
		{
			name:  "Page/WritesInBetween",
			says:  "Entries that are there throughout are on exactly one page; others may be missing.",
			needs: paging,
			run:   pageWritesInBetween,
		},
		{
			name:  "Page/LargeBodies",
			says:  "A page may have fewer than n entries while more follow.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 6, func(i int) time.Time { return at(i) })
				for i := range entries {
					if i%3 != 2 {
						entries[i].Body = c.large(byte(i))
					}
					entries[i] = c.put(s, entries[i])
				}
				c.wantOnce(c.pages(s, "", 100, 8), entries, "of bodies over MaxClaim together")
			},
		},
		{
			name:  "Page/BodyBelongsToTheCaller",
			says:  "The caller owns the Body of an entry and may change it.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 5, func(i int) time.Time { return at(i) })
				c.populate(s, entries)
				for _, e := range c.page(s, "", 5) {
					scribble(e.Body)
				}
				c.wantOnce(c.pages(s, "", 5, 7), entries, "after the bodies of a page were changed")
			},
		},
		{
			name:  "Page/ArgumentsAreChecked",
			says:  "A count below one is ErrInvalid, and an ID outside what Entry says.",
			needs: paging,
			run: func(c *checker) {
				p := served[store.Pager](c, c.open())
				for _, n := range []int{0, -1} {
					_, err := p.Page(c.ctx, "", n)
					c.wantErr(err, store.ErrInvalid, "Page of %d", n)
				}
				_, err := p.Page(c.ctx, "no/ID", 1)
				c.wantErr(err, store.ErrInvalid, "Page after what is no ID")
			},
		},
		{
			name:  "Page/EndedContext",
			says:  "Its error is returned when a context has ended before the call.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "entry", "body", at(1))
				ctx, cancel := context.WithCancel(c.ctx)
				cancel()
				_, err := served[store.Pager](c, s).Page(ctx, "", 1)
				c.wantErr(err, context.Canceled, "Page with a context that has ended")
			},
		},
		{
			name:  "Page/AfterClose",
			says:  "Calls after Close get ErrClosed.",
			needs: paging,
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "entry", "body", at(1))
				c.close(s)
				_, err := served[store.Pager](c, s).Page(c.ctx, "", 1)
				c.wantErr(err, store.ErrClosed, "Page after Close")
			},
		},
		{
			name:  "Page/DamagedIsLeftOut",
			says:  "A page leaves damaged entries out and goes on behind them, with an error that is ErrCorrupt.",
			needs: paging | corruptible,
			run: func(c *checker) {
				for _, n := range []int{1, 100} {
					s, bad, others := c.damaged()
					var all []store.Entry
					var damage error
					after := ""
					for range len(others) + 3 {
						page, err := served[store.Pager](c, s).Page(c.ctx, after, n)
						if err != nil {
							damage = err
						}
						if len(page) == 0 {
							break
						}
						all = append(all, page...)
						after = page[len(page)-1].ID
					}
					c.wantErr(damage, store.ErrCorrupt, "pages of %d with a damaged entry", n)
					c.wantOnce(all, others, fmt.Sprintf("of %d without the damaged %s", n, bad.ID))
				}
			},
		},
		{
			name:  "Page/PeersAreSeen",
			says:  "Each entry is read when its page is, through whichever handle it was written.",
			needs: paging | shared,
			run: func(c *checker) {
				s := c.open()
				peer := c.peer(s)
				entries := scattered(30)
				c.populate(s, entries)
				c.wantOnce(c.pages(peer, "", 8, 32), entries, "of a peer")
				entries[3] = c.put(s, entries[3])
				c.delete(s, entries[29])
				c.wantOnce(c.pages(peer, "", 8, 32), entries[:29], "of a peer after other writes")
			},
		},
	}
}

// pageWritesInBetween inserts, replaces, claims and deletes between pages.
func pageWritesInBetween(c *checker) {
	s := c.open()
	stay := scattered(200)
	for i := range stay {
		stay[i].Due = never
	}
	c.populate(s, stay)
	leave := numbered("8-leaves-", 100, func(int) time.Time { return never })
	c.populate(s, leave)
	staying := byID(stay)
	var got []store.Entry
	after := ""
	for turn := 0; ; turn++ {
		if turn > 500 {
			c.fatalf("Page: got no empty page among 500, want one behind the last entry")
		}
		page := c.page(s, after, 5)
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		for _, e := range page {
			if _, stays := staying[e.ID]; stays {
				got = append(got, e)
			}
		}
		if turn < 20 {
			for range 5 {
				c.delete(s, leave[0])
				leave = leave[1:]
			}
			c.insert(s, fmt.Sprintf("0-new-%05d", turn), "body", at(1))
			c.insert(s, fmt.Sprintf("f-new-%05d", turn), "body", at(1))
			c.claim(s, at(1), at(2), 1)
		}
	}
	c.wantOnce(got, stay, "with writes in between")
}
