package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ahead is how far ahead of its due time a write is signaled.
	ahead = time.Minute

	// apart is how far apart signals are for entries that are not due yet.
	apart = time.Second

	// notifyTimeout bounds how long one NOTIFY may take.
	notifyTimeout = 5 * time.Second
)

// rule decides which writes are signaled. The zero value is ready.
type rule struct {
	last atomic.Int64 // Unix nanoseconds of the last signal for a later time
}

// signals reports whether a write that makes an entry due at due, by a caller
// whose clock says now, must be signaled. The zero time is never due. A clock
// that is wrong costs a wake-up, nothing more.
func (r *rule) signals(due, now time.Time) bool {
	wait := due.Sub(now)
	switch {
	case due.IsZero() || wait > ahead:
		return false
	case wait <= 0:
		return true
	}
	last := r.last.Load()
	since := time.Duration(now.UnixNano() - last)
	return (since < 0 || since >= apart) && r.last.CompareAndSwap(last, now.UnixNano())
}

// notifier sends NOTIFY behind the writes, one at a time: PostgreSQL commits
// transactions that notify one after the other, so writes that did it
// themselves would lose their common sync.
type notifier struct {
	mu      sync.Mutex
	sending bool
	again   bool // something has become due since the last one was sent
}

// send has a NOTIFY sent, of which one may be for many writes. The caller is
// within a call of s, so s is open.
func (n *notifier) send(s *Store) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.again = true; n.sending {
		return
	}
	n.sending = true
	s.calls.count.Go(func() { // Close waits
		for n.next() {
			ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
			_, _ = s.entries.conn.exec(ctx, s.sql.notify) // one that is lost costs a poll
			cancel()
		}
	})
}

func (n *notifier) next() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	more := n.again
	n.again, n.sending = false, more
	return more
}
