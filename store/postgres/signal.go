package postgres

import (
	"context"
	"sync"
	"time"
)

// notifyTimeout bounds how long one NOTIFY may take.
const notifyTimeout = 5 * time.Second

// notifier sends NOTIFY after writes, one at a time. PostgreSQL commits transactions
// with NOTIFY one after the other, so writes that contained it could not share a
// sync.
type notifier struct {
	mu      sync.Mutex
	sending bool
	again   bool // something has become due since the last one was sent
}

// send sends a NOTIFY, which may be for many writes. The caller is in a call of s, so
// s is open.
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
