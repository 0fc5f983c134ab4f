package jetstream

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"sync"
)

// index is one process's knowledge of the stream, as of a position: the version
// and the due time of each entry. The index is a hint. Any number of goroutines
// may call the methods of an index.
type index struct {
	mu       sync.Mutex
	position uint64 // the last sequence number that was read
	known    map[string]mark
	due      marks // oldest first; marks that are not in known are stale
}

// mark is a version of an entry.
type mark struct {
	id      string
	version uint64
	due     int64 // 0 for never
}

// next returns the sequence number at which to continue reading.
func (x *index) next() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.position + 1
}

// reached records that there is nothing to read up to a sequence number.
func (x *index) reached(position uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.position = max(x.position, position)
}

// read records a message that was read from the stream.
func (x *index) read(m mark) {
	x.apply(m)
	x.reached(m.version)
}

// apply records a version, unless a newer one is known.
func (x *index) apply(m mark) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known[m.id].version >= m.version {
		return
	}
	if x.known == nil {
		x.known = make(map[string]mark)
	}
	x.known[m.id] = m
	if m.due != 0 {
		heap.Push(&x.due, m)
	}
	if m.version == x.position+1 {
		x.position = m.version // this process wrote the message, and has read every message before it
	}
}

// forget drops an entry that no longer has this version.
func (x *index) forget(m mark) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known[m.id].version == m.version {
		delete(x.known, m.id)
	}
}

// take removes up to n due entries from the index, and returns the oldest
// first.
func (x *index) take(now int64, n int) (due []mark) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(due) < n && len(x.due) > 0 && x.due[0].due <= now {
		if m := heap.Pop(&x.due).(mark); x.known[m.id] == m {
			due = append(due, m)
		}
	}
	return due
}

// putBack returns entries to the index that were taken and not claimed.
func (x *index) putBack(due []mark) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range due {
		heap.Push(&x.due, m)
	}
}

// ids returns the IDs of all entries, in order.
func (x *index) ids() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Sorted(maps.Keys(x.known))
}

// marks is a heap.
type marks []mark

func (m marks) Len() int { return len(m) }
func (m marks) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(m[i].due, m[j].due), cmp.Compare(m[i].id, m[j].id)) < 0
}
func (m marks) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *marks) Push(x any)   { *m = append(*m, x.(mark)) }
func (m *marks) Pop() any {
	last := len(*m) - 1
	x := (*m)[last]
	*m = (*m)[:last]
	return x
}
