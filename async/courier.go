package async

import (
	"slices"
	"sync"
	"time"
)

const (
	defaultDeliveryWait = time.Second
	maxDeliveryWait     = time.Minute

	// carriedPerSlot is how many callers' deliveries a pool takes for each of its
	// slots.
	carriedPerSlot = 4
)

// courier delivers what callers have just answered. While Run is under way its
// pool makes the deliveries. Otherwise the courier starts a goroutine for each, a
// bounded number of them, which Run and Work wait for before they return.
type courier struct {
	wait   time.Duration  // how long a caller waits; not above zero: not at all
	own    chan struct{}  // places of deliveries outside of pools
	pooled chan struct{}  // places of deliveries in pools
	spawn  func(f func()) // starts a goroutine

	mu    sync.Mutex
	pools []*pool       // of the calls of Run under way
	under int           // deliveries outside of pools
	idle  chan struct{} // closed when there are none; nil: nothing waits for that
}

func newCourier(wait time.Duration, concurrency int) *courier {
	return &courier{
		wait:   wait,
		own:    make(chan struct{}, max(1, concurrency*3/4)),
		pooled: make(chan struct{}, carriedPerSlot*concurrency),
		spawn:  func(f func()) { go f() },
	}
}

// places returns the places of the deliveries that begin now.
func (c *courier) places() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pools) > 0 {
		return c.pooled
	}
	return c.own
}

// join makes a pool take the deliveries until it leaves.
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

// submit gives a delivery to a pool. Where there is none it reports false, and
// counts one that is under way outside of pools.
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

// rest waits until no delivery is under way outside of pools. Each ends within
// the hub's ClaimTime.
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
