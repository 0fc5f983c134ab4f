// Package wake sends signals within one process when an entry of a store
// becomes due. The package also has the rule by which all backends decide which
// writes they signal.
package wake

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Ahead limits the signals: a write that makes an entry due later than Ahead
// from now is not signaled.
const Ahead = time.Minute

// quiet is the least time between two signals for entries that are not due yet.
// One signal keeps a hub polling for longer than Ahead, so further signals are
// not needed.
const quiet = time.Second

// ErrClosed means that Watch was called after Close.
var ErrClosed = errors.New("wake: closed")

// Rule decides which writes are signaled. The zero value is ready. Any number
// of goroutines may call the methods of a Rule.
type Rule struct {
	last atomic.Int64 // Unix nanoseconds of the last signal for a later time
}

// Signals reports whether a write that makes an entry due at due must be
// signaled. now is the time by the caller's clock. The zero time is never due.
func (r *Rule) Signals(due, now time.Time) bool {
	wait := due.Sub(now)
	switch {
	case due.IsZero() || wait > Ahead:
		return false
	case wait <= 0:
		return true
	}
	last := r.last.Load()
	since := time.Duration(now.UnixNano() - last)
	return (since < 0 || since >= quiet) && r.last.CompareAndSwap(last, now.UnixNano())
}

// Bell signals the watchers of a store that lives in one process. The zero
// value is ready. Any number of goroutines may call the methods of a Bell.
type Bell struct {
	rule  Rule
	count atomic.Int64 // number of watchers, so that a write without watchers costs one load

	mu       sync.Mutex
	closed   bool
	watchers map[chan struct{}]func() bool // the function stops context.AfterFunc
}

// Watch returns a channel that receives signals. The channel is closed when ctx
// ends or the bell is closed.
func (b *Bell) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	if b.watchers == nil {
		b.watchers = make(map[chan struct{}]func() bool)
	}
	c := make(chan struct{}, 1)
	b.watchers[c] = context.AfterFunc(ctx, func() { b.leave(c) })
	b.count.Add(1)
	return c, nil
}

func (b *Bell) leave(c chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.watchers[c]; there {
		delete(b.watchers, c)
		b.count.Add(-1)
		close(c)
	}
}

// Due signals all watchers that an entry is due at that time, if the rule says
// so. Due does not wait for the watchers. A watcher that has not received its
// last signal gets no second one.
func (b *Bell) Due(due time.Time) {
	if b.count.Load() == 0 || !b.rule.Signals(due, time.Now()) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Close closes the channels of all watchers.
func (b *Bell) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for c, forget := range b.watchers {
		forget()
		close(c)
	}
	b.watchers = nil
	b.count.Store(0)
}
