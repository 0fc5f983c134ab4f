package million

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// counted is a store that counts the entries that a hub reads.
type counted struct {
	store.Store
	read atomic.Int64
}

func (c *counted) Get(ctx context.Context, id string) (store.Entry, error) {
	c.read.Add(1)
	return c.Store.Get(ctx, id)
}

func (c *counted) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	entries, err := c.Store.(store.Pager).Page(ctx, after, n)
	c.read.Add(int64(len(entries)))
	return entries, err
}

func (c *counted) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		c.Store.List(ctx)(func(e store.Entry, err error) bool {
			c.read.Add(1)
			return yield(e, err)
		})
	}
}

// pagesReadWhatTheyMay: a page reads at most Query.Look entries, however many
// there are, and all pages together have each entry once.
func (w *world) pagesReadWhatTheyMay() {
	w.t.Helper()
	s := &counted{Store: w.store}
	h := w.newHub(s, nil)
	for _, x := range []struct {
		q    async.Query
		most int
		has  int // callbacks
	}{
		{async.Query{}, 50, 50},
		{async.Query{Limit: 500}, 500, 500},
		{async.Query{Look: 20}, 20, 20},
		{async.Query{State: async.Closed, Look: 1}, 1, 0},
		{async.Query{State: async.Closed, Look: 300}, 300, 0},
		{async.Query{State: async.Settled, Look: 2000}, 2000, 2},
		{async.Query{Failing: true, Look: 2000}, 2000, 2},
		{async.Query{ActivityType: "Pay", Look: 700, Limit: 500}, 700, 0},
	} {
		s.read.Store(0)
		p, err := h.Page(w.t.Context(), x.q)
		if err != nil {
			w.t.Fatal(err)
		}
		if got := int(s.read.Load()); got > x.most || p.Looked > x.most {
			w.t.Errorf("%+v read %d entries and looked at %d, want at most %d", x.q, got, p.Looked, x.most)
		}
		// In a store that is not ordered, the first entries may be any.
		if len(p.Callbacks) != x.has && p.Ordered || p.Next == "" {
			w.t.Errorf("%+v has %d callbacks and the next page %q, want %d and one", x.q, len(p.Callbacks), p.Next, x.has)
		}
	}
	s.read.Store(0)
	found, looked := 0, 0
	for q := (async.Query{State: async.Settled}); ; {
		p, err := h.Page(w.t.Context(), q)
		if err != nil {
			w.t.Fatal(err)
		}
		found, looked = found+len(p.Callbacks), looked+p.Looked
		if q.After = p.Next; q.After == "" {
			break
		}
	}
	if found != w.entries/1000 || looked != w.entries || int(s.read.Load()) != w.entries {
		w.t.Errorf("all pages have %d entries of %d that were looked at and %d that were read, want %d of %d", found, looked, s.read.Load(), w.entries/1000, w.entries)
	}
}

// countsAreShared: any number of scrapes cost one scan.
func (w *world) countsAreShared() {
	w.t.Helper()
	s := &counted{Store: w.store}
	h := w.newHub(s, nil)
	for range 60 {
		stats, err := h.Stats(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		waiting, refused := 0, 0
		for _, g := range stats.Groups {
			switch {
			case g.State == async.Waiting:
				waiting += g.Entries
			case g.State == async.Settled && g.Class == "refused":
				refused += g.Entries
			}
		}
		if waiting+refused != w.entries || refused != w.entries/1000 || stats.Unreadable != 0 {
			w.t.Fatalf("the counts are %+v, want %d entries", stats, w.entries)
		}
	}
	if got := int(s.read.Load()); got != w.entries {
		w.t.Errorf("60 scrapes read %d entries, want %d", got, w.entries)
	}
}
