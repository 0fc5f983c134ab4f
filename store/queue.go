package store

// queue is a binary heap of the items with a due time, the earliest first. Each
// item has its index in the heap, so that it can be moved.
//
// queue does not use container/heap, whose interface costs an allocation and
// three indirect calls for each step of a Put.
type queue []*item

// requeue moves an item to its new due time.
func (s *shard) requeue(it *item, due int64) {
	it.due = due
	switch {
	case due == never && it.at < 0:
	case due == never:
		s.queue.remove(it)
	case it.at < 0:
		it.at = len(s.queue)
		s.queue = append(s.queue, it)
		s.queue.up(it.at)
	default:
		s.queue.fix(it.at)
	}
	head := int64(never)
	if len(s.queue) > 0 {
		head = s.queue[0].due
	}
	if s.head.Load() != head {
		s.head.Store(head)
	}
}

func (q *queue) remove(it *item) {
	old := *q
	last, hole := len(old)-1, it.at
	old.swap(hole, last)
	old[last] = nil
	*q = old[:last]
	it.at = -1
	if hole < last {
		q.fix(hole)
	}
}

func (q queue) fix(i int) {
	if !q.down(i) {
		q.up(i)
	}
}

func (q queue) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if q[parent].due <= q[i].due {
			return
		}
		q.swap(parent, i)
		i = parent
	}
}

// down moves the item at i down to its place, and reports whether it moved.
func (q queue) down(i int) bool {
	start := i
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].due < q[child].due {
			child++
		}
		if q[i].due <= q[child].due {
			break
		}
		q.swap(i, child)
		i = child
	}
	return i > start
}

func (q queue) swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}
