package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// notifyChecks check the contract of store.Notifier. Only the checks of
// Notifier use the clock, because signals depend on it.
func notifyChecks() []check {
	return []check{
		{
			name:  "Notify/DueAtOnceSignals",
			says:  "A Put that makes an entry due at once is always signaled.",
			needs: notifying,
			run: func(c *checker) {
				s := c.open()
				signals := c.watch(c.ctx, s)
				for i := range 3 {
					e := c.insert(s, fmt.Sprintf("entry-%d", i), "body", never)
					c.empty(signals)
					e.Due = time.Now()
					c.put(s, e)
					c.wantSignal(signals, fmt.Sprintf("after Put number %d made an entry due at once", i+1))
				}
			},
		},
		{
			name:  "Notify/DueSoonSignals",
			says:  "A signal comes soon after a Put makes an entry due within WatchAhead.",
			needs: notifying,
			run: func(c *checker) {
				s := c.open()
				signals := c.watch(c.ctx, s)
				c.insert(s, "entry", "body", time.Now().Add(store.WatchAhead/2))
				c.wantSignal(signals, "after a Put made an entry due in half of WatchAhead")
			},
		},
		{
			name:  "Notify/ClaimsSignal",
			says:  "A signal comes soon after a Claim makes an entry due within WatchAhead.",
			needs: notifying,
			run: func(c *checker) {
				s := c.open()
				now := time.Now()
				c.insert(s, "entry", "body", now.Add(-time.Second))
				signals := c.watch(c.ctx, s)
				if got := c.claim(s, now, now.Add(store.WatchAhead/2), 5); len(got) != 1 {
					c.fatalf("Claim of the one entry that is due: got %d, want it", len(got))
				}
				c.wantSignal(signals, "after a Claim")
			},
		},
		{
			name:  "Notify/AllWatchersAreSignaled",
			says:  "Watch returns a channel that receives a signal: each call its own.",
			needs: notifying,
			run: func(c *checker) {
				s := c.open()
				one, two := c.watch(c.ctx, s), c.watch(c.ctx, s)
				c.insert(s, "entry", "body", time.Now())
				c.wantSignal(one, "for the first of two watchers")
				c.wantSignal(two, "for the second of two watchers")
			},
		},
		{
			name:  "Notify/PeersSignal",
			says:  "A signal comes soon after a Put by any handle to the data.",
			needs: notifying | shared,
			run: func(c *checker) {
				s := c.open()
				peer := c.peer(s)
				signals := c.watch(c.ctx, s)
				c.insert(peer, "entry", "body", time.Now())
				c.wantSignal(signals, "after a peer's Put")
			},
		},
		{
			name:  "Notify/WritersDoNotWait",
			says:  "Signals may be merged: nothing waits for a watcher.",
			needs: notifying,
			run: func(c *checker) {
				s := c.open()
				signals := c.watch(c.ctx, s)
				c.populate(s, numbered("entry-", 300, func(int) time.Time { return time.Now() }))
				c.wantSignal(signals, "after 300 Puts")
			},
		},
		{
			name:  "Notify/ContextEnds",
			says:  "The channel is closed when ctx ends.",
			needs: notifying,
			run: func(c *checker) {
				s := c.open()
				ctx, cancel := context.WithCancel(c.ctx)
				signals := c.watch(ctx, s)
				stays := c.watch(c.ctx, s)
				cancel()
				c.wantClosed(signals, "after its context ended")
				c.insert(s, "entry", "body", time.Now())
				c.wantSignal(stays, "for the watcher that is left")
				_, err := served[store.Notifier](c, s).Watch(ctx)
				c.wantErr(err, context.Canceled, "Watch with a context that has ended")
			},
		},
		{
			name:  "Notify/CloseEnds",
			says:  "The channel is closed when the store is closed.",
			needs: notifying,
			run: func(c *checker) {
				s := c.open()
				signals := c.watch(c.ctx, s)
				c.close(s)
				c.wantClosed(signals, "after Close")
				_, err := served[store.Notifier](c, s).Watch(c.ctx)
				c.wantErr(err, store.ErrClosed, "Watch after Close")
			},
		},
	}
}

func (c *checker) watch(ctx context.Context, s store.Store) <-chan struct{} {
	c.t.to.Helper()
	signals, err := served[store.Notifier](c, s).Watch(ctx)
	if err != nil {
		c.fatalf("Watch: got %v, want a channel", err)
	}
	return signals
}

// empty receives a signal that has already come.
func (c *checker) empty(signals <-chan struct{}) {
	select {
	case <-signals:
	default:
	}
}

func (c *checker) wantSignal(signals <-chan struct{}, when string) {
	c.t.to.Helper()
	select {
	case _, open := <-signals:
		if !open {
			c.fatalf("watching: the channel was closed, want a signal %s", when)
		}
	case <-time.After(c.patience / 2):
		c.fatalf("watching: got no signal within %v, want one %s", c.patience/2, when)
	}
}

func (c *checker) wantClosed(signals <-chan struct{}, when string) {
	c.t.to.Helper()
	timeout := time.After(c.patience / 2)
	for {
		select {
		case _, open := <-signals:
			if !open {
				return
			}
		case <-timeout:
			c.fatalf("watching: the channel is open for %v, want it closed %s", c.patience/2, when)
		}
	}
}
