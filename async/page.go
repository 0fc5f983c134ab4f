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

// pageChunk is how many entries are read at a time for a query that selects some.
const pageChunk = 256

// Page is a part of the entries that a [Query] selects. It may be empty and have
// a Next: the query has then looked at as many entries as it may.
type Page struct {
	// Callbacks are of entries that the query selects. Like those of List they can
	// answer.
	Callbacks []Callback

	// Next continues behind this page, as [Query].After. It is empty on the last
	// page.
	Next string

	// Looked is the number of entries that were looked at.
	Looked int

	// Ordered reports whether the entries that were looked at came in the order of
	// their IDs. That is the order in which their activities were scheduled, except
	// for entries with a business key, whose IDs have no time.
	Ordered bool

	// Skipped is the number of entries that could not be read, because they are
	// damaged or of a newer release. A store reports damage of its own once a page,
	// so that there may be more.
	Skipped int
}

// Page returns a page of the entries that the query selects. Its work is bounded
// by Query.Look, however many entries the store has. Entries that are there while
// all pages are read come exactly once; others may be missing.
//
// The store must implement store.Pager; the in-memory store, bolt and PostgreSQL
// do, and so does Redis where the store was created with Options.Pages. From
// another store Page reads everything, through List, if that is at most
// Query.Look entries, and returns an error that wraps errors.ErrUnsupported
// otherwise. A query that is out of range is ErrInvalidArgument.
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

// pageOf reads a page through the store's own pages.
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

// pageByList reads a page of a store that has no pages, if it has few entries.
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

// cut keeps the first callbacks by the IDs of their entries, and notes where the
// next page begins if there are more.
func (p *Page) cut(limit int) {
	slices.SortFunc(p.Callbacks, func(a, b Callback) int { return cmp.Compare(a.entry.id, b.entry.id) })
	if len(p.Callbacks) > limit {
		clear(p.Callbacks[limit:])
		p.Callbacks = p.Callbacks[:limit]
		p.Next = p.Callbacks[limit-1].entry.id
	}
}
