package async

import (
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
)

const (
	// restAfter is for how long a hub claims nothing after the server has said
	// that it is out of resources, beyond what the SDK's own retries wait.
	restAfter = time.Second

	// blindAfter is after how many heartbeats in a row that failed a hub takes it
	// that it doesn't reach a namespace, and blindFor how long at least that slows
	// it down for others when it has nothing more to do there.
	blindAfter = 16
	blindFor   = time.Minute
)

// condition is how the server does, as far as this process can tell. A hub
// rests while the server asks for it; and one that reaches nothing, though its
// store works, leaves to others what they may be able to do.
type condition struct {
	mu     sync.Mutex
	rested time.Time               // no claims until then
	failed map[string]*unreachable // by namespace; none after a call that came through
}

type unreachable struct {
	calls int       // that failed in a row
	last  time.Time // when one did
	probe time.Time
}

// note has the hub rest where the server is out of resources.
func (c *condition) note(err error, now time.Time) {
	if _, ok := errors.AsType[*serviceerror.ResourceExhausted](err); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rested = now.Add(restAfter)
	}
}

// reached learns from what a heartbeat or a look came to. Outcomes don't count:
// they have time.
func (c *condition) reached(namespace string, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, ErrOver), errors.Is(err, ErrNotStarted), errors.Is(err, ErrRefused), errors.Is(err, errUnknownStatus):
		delete(c.failed, namespace)
		return
	case c.failed == nil:
		c.failed = make(map[string]*unreachable)
	}
	if c.failed[namespace] == nil {
		c.failed[namespace] = new(unreachable)
	}
	c.failed[namespace].calls++
	c.failed[namespace].last = now
}

// rest is for how long the hub has still to rest.
func (c *condition) rest(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rested.Sub(now)
}

// blind reports whether the namespace can't be reached.
func (c *condition) blind(namespace string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.failed[namespace]
	return u != nil && u.calls >= blindAfter
}

// anyBlind reports whether some namespace can't be reached that this hub has
// something to do in: it has tried to within so long.
func (c *condition) anyBlind(now time.Time, within time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.failed {
		if u.calls >= blindAfter && now.Sub(u.last) < within {
			return true
		}
	}
	return false
}

// probes reports whether it is time to see if the namespace can be reached
// again, which is so once in a while.
func (c *condition) probes(namespace string, now time.Time, every time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.failed[namespace]
	if u == nil || !now.Before(u.probe) {
		if u != nil {
			u.probe = now.Add(every)
		}
		return true
	}
	return false
}
