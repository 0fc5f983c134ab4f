package async

import (
	"slices"
	"sync"
	"time"
)

const (
	defaultDeliveryWait = time.Second
	maxDeliveryWait     = time.Minute

	// carriedPerSlot is the maximum number of callers' deliveries that a pool
	// accepts for each of its slots.
	carriedPerSlot = 4
)

// courier delivers outcomes that callers have just settled. While Run is
// running, its pool makes the deliveries. Otherwise the courier starts a
// goroutine for each delivery. The number of the courier's goroutines is
// limited, and Run and Work wait for them before they return.
type courier struct {
	wait   time.Duration  // how long a caller waits; zero or negative: it does not wait
	own    chan struct{}  // places for deliveries outside of pools
	pooled chan struct{}  // places for deliveries in pools
	spawn  func(f func()) // starts a goroutine

	mu    sync.Mutex
	pools []*pool       // pools of the running calls of Run
	under int           // number of running deliveries outside of pools
	idle  chan struct{} // closed when no delivery is running; nil if no caller waits for that
}

func newCourier(wait time.Duration, concurrency int) *courier {
	return &courier{
		wait:   wait,
		own:    make(chan struct{}, max(1, concurrency*3/4)),
		pooled: make(chan struct{}, carriedPerSlot*concurrency),
		spawn:  func(f func()) { go f() },
	}
}

// places returns the places for deliveries that begin now.
func (c *courier) places() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pools) > 0 {
		return c.pooled
	}
	return c.own
}

// join makes a pool accept deliveries until it leaves.
func (c *courier) join(p *pool) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pools = append(c.pools, p)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pools = slices.DeleteFunc(c.pools, func(other *pool) bool { return other == p })
	}
}

// start starts a delivery, in a pool if there is one.
func (c *courier) start(delivery *carriage) {
	if c.submit(delivery) {
		return
	}
	c.spawn(func() {
		defer c.ended()
		delivery.run()
	})
}

// submit gives a delivery to a pool. If there is no pool, submit returns false
// and counts a running delivery outside of pools.
func (c *courier) submit(delivery *carriage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.pools); n > 0 {
		c.pools[n-1].submit(delivery.task())
		return true
	}
	c.under++
	return false
}

func (c *courier) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under--; c.under == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// rest waits until no delivery outside of pools is running. Each delivery
// outside of pools ends within the hub's ClaimTime.
func (c *courier) rest() {
	for {
		c.mu.Lock()
		if c.under > 0 && c.idle == nil {
			c.idle = make(chan struct{})
		}
		under, idle := c.under, c.idle
		c.mu.Unlock()
		if under == 0 {
			return
		}
		<-idle
	}
}
