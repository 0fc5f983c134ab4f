package async

import (
	"context"
	"sync"
	"time"
)

// deadline is a context that ends at a given time. Unlike a context of
// context.WithDeadline, it has no timer until code waits for its end. Most
// calls end before any code waits, and a timer costs as much as a small call.
type deadline struct {
	context.Context // its parent
	at              time.Time

	mu    sync.Mutex
	ended bool
	timed context.Context // the context with the timer; nil until code waits for the end
	stop  context.CancelFunc
}

// withDeadline returns a context that ends when ctx ends, at the given time, or
// when its end method is called. The caller must call end.
func withDeadline(ctx context.Context, at time.Time) *deadline {
	if of, ok := ctx.Deadline(); ok && of.Before(at) {
		at = of
	}
	return &deadline{Context: ctx, at: at}
}

// withTimeout is like withDeadline, with a duration from now.
func withTimeout(ctx context.Context, d time.Duration) *deadline {
	return withDeadline(ctx, time.Now().Add(d))
}

// end ends the context.
func (c *deadline) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.stop != nil {
		c.stop()
	}
}

// begin returns the context that has the timer. The caller of begin holds mu.
func (c *deadline) begin() context.Context {
	switch {
	case c.timed != nil:
	case c.ended:
		c.timed, c.stop = context.WithCancel(c.Context)
		c.stop()
	default:
		c.timed, c.stop = context.WithDeadline(c.Context, c.at)
	}
	return c.timed
}

// Deadline returns when the context ends.
func (c *deadline) Deadline() (time.Time, bool) { return c.at, true }

// Done returns a channel that is closed when the context has ended.
func (c *deadline) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begin().Done()
}

// Err returns the reason for which the context has ended, or nil.
func (c *deadline) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil && !c.ended && c.Context.Err() == nil && time.Now().Before(c.at) {
		return nil
	}
	return c.begin().Err()
}

// Value returns the parent's value. Package context uses Value to find the
// context that owns Done's channel.
func (c *deadline) Value(key any) any {
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}
