package postgres

import (
	"context"
	"sync"
	"time"
)

// notifyTimeout is the longest time that one NOTIFY may take.
const notifyTimeout = 5 * time.Second

// notifier sends NOTIFY after writes, one at a time. PostgreSQL commits
// transactions with a NOTIFY one after the other. If the writes contained the
// NOTIFY, they could not share a sync.
type notifier struct {
	mu      sync.Mutex
	sending bool
	again   bool // an entry has become due since the last NOTIFY was sent
}

// send sends a NOTIFY, which may be for many writes. The caller of send is
// inside a call of s, so s is open.
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
			_, _ = s.entries.conn.exec(ctx, s.sql.notify) // a lost NOTIFY costs the time until a poll
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
