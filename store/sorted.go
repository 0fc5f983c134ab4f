package store

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
)

// sorted contains the items of a shard in the order of their IDs. The first
// Page builds the sorted list, so a store whose pages are never read does not
// pay for it. Later changes are added to the sorted list, so a page does not
// scan the shard.
type sorted struct {
	used  bool
	old   []*item // sorted; may contain items that are gone
	fresh []*item // inserted since old was built
	ready int     // number of sorted items in fresh
	gone  int     // maximum number of items in old and fresh that are gone
}

func byItemID(a, b *item) int { return cmp.Compare(a.id, b.id) }

// inserted and removed record a change. The caller holds the lock of the shard.
func (x *sorted) inserted(it *item) {
	if x.used {
		x.fresh = append(x.fresh, it)
	}
}

func (x *sorted) removed(left int) {
	if !x.used {
		return
	}
	if x.gone++; x.gone > left+64 {
		*x = sorted{} // frees the items that are gone; the next page builds the list again
	}
}

// refresh sorts old and fresh. refresh rebuilds old when fresh has grown to an
// eighth of old, so the work for each insert is constant on average.
func (x *sorted) refresh(items map[string]*item) {
	switch {
	case !x.used:
		*x = sorted{used: true, old: make([]*item, 0, len(items))}
		for _, it := range items {
			x.old = append(x.old, it)
		}
		slices.SortFunc(x.old, byItemID)
	case len(x.fresh)+x.gone > len(x.old)/8+64:
		all := slices.DeleteFunc(slices.Concat(x.old, x.fresh), (*item).gone)
		slices.SortFunc(all, byItemID)
		*x = sorted{used: true, old: all}
	case x.ready < len(x.fresh):
		slices.SortFunc(x.fresh, byItemID)
		x.ready = len(x.fresh)
	}
}

// after returns up to n items that follow an ID, in order.
func (s *shard) after(id string, n int) ([]*item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.sorted.refresh(s.items)
	follow := func(items []*item) []*item {
		i, found := slices.BinarySearchFunc(items, id, func(it *item, id string) int { return cmp.Compare(it.id, id) })
		for found && i < len(items) && items[i].id == id { // an ID may have been inserted again
			i++
		}
		return items[i:]
	}
	old, fresh := follow(s.sorted.old), follow(s.sorted.fresh)
	next := make([]*item, 0, min(n, len(old)+len(fresh)))
	for len(next) < n && len(old)+len(fresh) > 0 {
		from := &old
		if len(old) == 0 || len(fresh) > 0 && fresh[0].id < old[0].id {
			from = &fresh
		}
		it := (*from)[0]
		*from = (*from)[1:]
		if !it.gone() {
			next = append(next, it)
		}
	}
	return next, nil
}

// Page implements [Pager]. The entries come in the order of their IDs. The work
// depends on n and on the number of changes since the last page.
func (m *memory) Page(ctx context.Context, after string, n int) ([]Entry, error) {
	page, err := m.page(ctx, after, n)
	return page, Wrap("page", memoryName, after, err)
}

func (m *memory) page(ctx context.Context, after string, n int) ([]Entry, error) {
	if err := CheckPage(after, n); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	heads := make(heads, 0, memoryShards)
	for i := range m.shards {
		h := &head{shard: &m.shards[i], last: after, chunk: n/memoryShards + 4}
		if more, err := h.next(); err != nil {
			return nil, err
		} else if more {
			heads = append(heads, h)
		}
	}
	heap.Init(&heads)
	page := make([]Entry, 0, min(n, 1024))
	for size := 0; len(heads) > 0 && len(page) < n && size < MaxClaim; {
		h := heads[0]
		e, err := h.shard.read(ctx, h.items[0])
		if err != nil {
			return nil, err
		}
		if e.ID != "" {
			page = append(page, e)
			size += len(e.Body)
		}
		h.items = h.items[1:]
		switch more, err := h.next(); {
		case err != nil:
			return nil, err
		case more:
			heap.Fix(&heads, 0)
		default:
			heap.Pop(&heads)
		}
	}
	return page, nil
}

// head contains the next items of a shard, which it reads in chunks.
type head struct {
	shard *shard
	items []*item
	last  string // ID of the last item that was read
	chunk int
	done  bool // the shard has no items after last
}

// next reads another chunk if there are no items left, and reports whether
// there is an item.
func (h *head) next() (bool, error) {
	if len(h.items) == 0 && !h.done {
		items, err := h.shard.after(h.last, h.chunk)
		if err != nil {
			return false, err
		}
		h.items, h.done = items, len(items) < h.chunk
		if len(items) > 0 {
			h.last = items[len(items)-1].id
		}
	}
	return len(h.items) > 0, nil
}

// heads is a heap. The head whose next item has the lowest ID is the first.
type heads []*head

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].items[0].id < h[j].items[0].id }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(*head)) }
func (h *heads) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}

// Count implements [Counter].
func (m *memory) Count(ctx context.Context) (int, error) {
	n, err := m.count(ctx)
	return n, Wrap("count", memoryName, "", err)
}

func (m *memory) count(ctx context.Context) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		closed := s.closed
		n += len(s.items)
		s.mu.Unlock()
		if closed {
			return 0, ErrClosed
		}
	}
	return n, nil
}

// Watch implements [Notifier]. All signals come from writes of this process.
func (m *memory) Watch(ctx context.Context) (<-chan struct{}, error) {
	if m.shards[0].isClosed() {
		return nil, Wrap("watch", memoryName, "", cmp.Or(ctx.Err(), ErrClosed))
	}
	c, err := m.bell.Watch(ctx)
	return c, Wrap("watch", memoryName, "", err)
}
