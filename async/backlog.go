package async

import (
	"container/heap"
	"sync"
	"time"
)

// maxBacklog is the maximum number of entries that a hub remembers, at about
// 150 bytes each.
const maxBacklog = 1 << 16

// backlog remembers the entries that a hub has left because a breaker is open.
// When the breaker closes, the hub can work on all of them at once. No
// guarantee depends on the backlog: an entry that it forgets becomes due by
// itself within maxLeave.
type backlog struct {
	mu       sync.Mutex
	size     int
	parked   map[way]map[string]parked // by ID
	recalled [2]oldestFirst            // by kind
}

// parked is an entry that a hub has left while a breaker is open.
type parked struct {
	id      string
	version uint64 // an entry with another version has changed since the hub left it
	order   time.Time
}

// park remembers an entry until the breaker closes.
func (b *backlog) park(w way, p parked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parked == nil {
		b.parked = make(map[way]map[string]parked)
	}
	of := b.parked[w]
	if of == nil {
		of = make(map[string]parked)
		b.parked[w] = of
	}
	if _, before := of[p.id]; !before {
		if b.size >= maxBacklog {
			return
		}
		b.size++
	}
	of[p.id] = p
}

// recall makes the entries of a closed breaker ready, the oldest first.
func (b *backlog) recall(w way) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.parked[w] {
		heap.Push(&b.recalled[w.kind], p)
	}
	delete(b.parked, w)
}

// queue adds a claimed answer to the recalled answers, which are taken oldest
// first. If no answer is recalled, or if the backlog is full, queue adds nothing
// and returns false.
func (b *backlog) queue(p parked) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.recalled[anAnswer]) == 0 || b.size >= maxBacklog {
		return false
	}
	b.size++
	heap.Push(&b.recalled[anAnswer], p)
	return true
}

// take returns up to n recalled entries of a kind, the oldest first.
func (b *backlog) take(k kind, n int) (taken []parked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(taken) < n && len(b.recalled[k]) > 0 {
		taken = append(taken, heap.Pop(&b.recalled[k]).(parked))
		b.size--
	}
	return taken
}

// oldestFirst is a heap.
type oldestFirst []parked

func (o oldestFirst) Len() int           { return len(o) }
func (o oldestFirst) Less(i, j int) bool { return o[i].order.Before(o[j].order) }
func (o oldestFirst) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *oldestFirst) Push(x any)        { *o = append(*o, x.(parked)) }
func (o *oldestFirst) Pop() any {
	last := len(*o) - 1
	x := (*o)[last]
	*o = (*o)[:last]
	return x
}

// left reports whether there are recalled entries.
func (b *backlog) left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.recalled[aBeat])+len(b.recalled[anAnswer]) > 0
}

// probes returns the oldest remembered entry of each breaker whose probe is
// due.
func (b *backlog) probes(due func(w way) bool) (found [2][]parked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w, of := range b.parked {
		if len(of) == 0 || !due(w) {
			continue
		}
		oldest := parked{}
		for _, p := range of {
			if oldest.id == "" || p.order.Before(oldest.order) {
				oldest = p
			}
		}
		delete(of, oldest.id)
		b.size--
		found[w.kind] = append(found[w.kind], oldest)
	}
	return found
}

// recalledFirst returns how many places the hub gives to recalled entries
// before it claims new ones. recalledFirst returns half of the room, and at
// least one place if there is room: Run does not pause while recalled entries
// are left, so with no place for them it would loop without progress.
func recalledFirst(room int) int { return (room + 1) / 2 }

// resume works on remembered entries, as far as there is room. While a breaker
// is open, resume takes one of its entries as a probe. When the breaker has
// closed, resume takes all of its entries.
func (p *pool) resume() {
	now := time.Now()
	until := now.Add(p.runner.claimTime)
	room := recalledFirst(p.room())
	found := p.runner.backlog.probes(func(w way) bool { return p.runner.health.probeDue(w, now) })
	for _, k := range []kind{aBeat, anAnswer} {
		taken := append(found[k], p.runner.backlog.take(k, room)...)
		room -= len(taken)
		for _, left := range taken {
			p.submit(task{kind: k, deadline: left.order, do: func() func() { return p.resumeOne(left, until) }, putOff: func() {}})
		}
	}
}

// resumeOne claims an entry if it is unchanged since this hub left it.
func (p *pool) resumeOne(left parked, until time.Time) (after func()) {
	ctx := withDeadline(p.calls, until.Add(-callMargin))
	defer ctx.end()
	stored, err := p.runner.entries.store.Get(ctx, left.id)
	if err != nil || stored.Version != left.version {
		return nil // the entry is due by itself, or another hub has claimed it
	}
	stored.Due = until
	if stored.Version, err = p.runner.entries.store.Put(ctx, stored); err != nil {
		return nil
	}
	return p.tend(read(stored), until)
}
