package async

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// maxBacklog bounds how many entries a hub remembers, at about 150 bytes each.
const maxBacklog = 1 << 16

// backlog remembers which entries a hub has left alone because a breaker is
// open, so that it can do them all as soon as the breaker closes. Nothing
// depends on it: an entry that it forgets becomes due by itself, within maxLeave.
type backlog struct {
	mu       sync.Mutex
	size     int
	parked   map[way]map[string]parked // by ID
	recalled [2][]parked               // by kind, in the order in which they are to be done
}

// parked is an entry that a hub has left alone.
type parked struct {
	id      string
	version uint64 // with another one the entry is no longer as it was left
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

// recall has what a breaker has kept back done, the oldest first.
func (b *backlog) recall(w way) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recalled[w.kind] = slices.SortedFunc(func(yield func(parked) bool) {
		for _, p := range b.recalled[w.kind] {
			if !yield(p) {
				return
			}
		}
		maps.Values(b.parked[w])(yield)
	}, func(a, b parked) int { return a.order.Compare(b.order) })
	delete(b.parked, w)
}

// take returns up to n of the recalled entries of a kind, the oldest first.
func (b *backlog) take(k kind, n int) []parked {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(max(n, 0), len(b.recalled[k]))
	taken := slices.Clone(b.recalled[k][:n])
	if b.recalled[k] = b.recalled[k][n:]; len(b.recalled[k]) == 0 {
		b.recalled[k] = nil
	}
	b.size -= n
	return taken
}

// left reports whether there are recalled entries.
func (b *backlog) left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.recalled[aBeat])+len(b.recalled[anAnswer]) > 0
}

// resume does what was left alone, as much as there is room for.
func (p *pool) resume() {
	now := time.Now()
	until := now.Add(p.hub.claimTime)
	room := p.room() / 2
	for _, k := range []kind{aBeat, anAnswer} {
		taken := p.hub.backlog.take(k, room)
		room -= len(taken)
		for i, left := range taken {
			deadline := now.Add(time.Duration(i)) // in this order
			if k == anAnswer {
				deadline = deadline.Add(triedBefore)
			}
			p.submit(task{kind: k, deadline: deadline, do: func() func() { return p.resumeOne(left, until) }, putOff: func() {}})
		}
	}
}

// resumeOne takes an entry back that is still as this hub left it.
func (p *pool) resumeOne(left parked, until time.Time) (after func()) {
	ctx, cancel := context.WithDeadline(p.calls, until.Add(-callMargin))
	defer cancel()
	stored, err := p.hub.store.Get(ctx, left.id)
	if err != nil || stored.Version != left.version {
		return nil // it is due by itself, or somebody has it
	}
	stored.Due = until
	if stored.Version, err = p.hub.store.Put(ctx, stored); err != nil {
		return nil
	}
	return p.tend(read(stored), until)
}
