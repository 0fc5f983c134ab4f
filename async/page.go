package async

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// pageChunk is how many entries are read at a time for a query with conditions.
const pageChunk = 256

// Page is a part of the entries that a [Query] selects. A page may be empty and
// still have a Next, if the query has examined the maximum number of entries.
type Page struct {
	// Callbacks are the callbacks of the selected entries. The callbacks can
	// answer, like those of List.
	Callbacks []Callback

	// Next is the value of [Query].After for the next page. Next is empty on
	// the last page.
	Next string

	// Looked is the number of entries that the query examined.
	Looked int

	// Ordered reports whether the examined entries came in the order of their
	// IDs. IDs are in the order in which the activities were scheduled, except
	// for entries with a business key, whose IDs have no time.
	Ordered bool

	// Skipped is the number of entries that could not be read. The skipped
	// entries are damaged, or a newer release wrote them. A store reports its
	// own damaged entries once a page, so there may be more of them.
	Skipped int
}

// Page returns a page of the selected entries. Query.Look limits the work of
// Page, however many entries the store has. An entry that exists while all
// pages are read comes exactly once. An entry that is created or removed
// meanwhile may be missing.
//
// The store must implement store.Pager. The in-memory store, bolt and
// PostgreSQL do; Redis does if the store was created with Options.Pages. With
// another store, Page reads all entries through List if there are at most
// Query.Look of them. With more entries, Page returns an error that wraps
// errors.ErrUnsupported. Page returns ErrInvalidArgument for a query that is
// out of range.
func (h *Hub) Page(ctx context.Context, q Query) (Page, error) {
	p, err := h.page(ctx, q)
	return p, failed("page", "", err)
}

func (h *Hub) page(ctx context.Context, q Query) (Page, error) {
	q, err := q.withDefaults()
	if err != nil {
		return Page{}, err
	}
	if pager, ok := h.entries.store.(store.Pager); ok {
		p, err := h.pageOf(ctx, pager, q)
		if err == nil || !errors.Is(err, errors.ErrUnsupported) {
			return p, err
		}
	}
	return h.pageByList(ctx, q)
}

// pageOf reads a page with the store's own Pager.
func (h *Hub) pageOf(ctx context.Context, pager store.Pager, q Query) (Page, error) {
	p, now := Page{Ordered: true}, time.Now()
	for after := q.After; ; {
		n := min(pageChunk, q.Look-p.Looked)
		if q.all() {
			n = min(n, q.Limit-len(p.Callbacks))
		}
		stored, err := pager.Page(ctx, after, n)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			p.Skipped++
		case err != nil:
			return Page{}, err
		}
		if len(stored) == 0 {
			return p, nil
		}
		for _, s := range stored {
			p.Ordered = p.Ordered && s.ID > after
			after = s.ID
			h.look(&p, q, s, now)
			if len(p.Callbacks) == q.Limit || p.Looked == q.Look {
				p.Next = after
				return p, nil
			}
		}
	}
}

// look adds an entry to the page if the query selects it.
func (h *Hub) look(p *Page, q Query, s store.Entry, now time.Time) {
	p.Looked++
	e, err := decodeEntry(s)
	switch {
	case err != nil:
		p.Skipped++
	case q.selects(e.rec, h.entries.retention, now):
		p.Callbacks = append(p.Callbacks, h.callbackOf(e))
	}
}

// pageByList reads a page of a store without a Pager, if the store has few
// entries.
func (h *Hub) pageByList(ctx context.Context, q Query) (Page, error) {
	p, now := Page{Ordered: true}, time.Now()
	seen := make(map[string]struct{}) // a list may repeat an entry
	for s, err := range h.entries.store.List(ctx) {
		if errors.Is(err, store.ErrCorrupt) {
			p.Skipped++
			continue
		}
		if err != nil {
			return Page{}, err
		}
		if _, again := seen[s.ID]; again {
			continue
		}
		if len(seen) == q.Look {
			return Page{}, fmt.Errorf("%w: this store has no pages, and more than %d entries; the in-memory store, bolt and PostgreSQL have pages, and so has Redis if the store was created with Options.Pages", errors.ErrUnsupported, q.Look)
		}
		seen[s.ID] = struct{}{}
		if s.ID <= q.After {
			p.Looked++
			continue
		}
		h.look(&p, q, s, now)
		if len(p.Callbacks) > 2*q.Limit {
			p.cut(q.Limit)
		}
	}
	p.cut(q.Limit)
	return p, nil
}

// cut keeps the first callbacks in the order of entry IDs, and records where
// the next page begins if there are more.
func (p *Page) cut(limit int) {
	slices.SortFunc(p.Callbacks, func(a, b Callback) int { return cmp.Compare(a.entry.id, b.entry.id) })
	if len(p.Callbacks) > limit {
		clear(p.Callbacks[limit:])
		p.Callbacks = p.Callbacks[:limit]
		p.Next = p.Callbacks[limit-1].entry.id
	}
}
