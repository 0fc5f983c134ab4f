package async

import (
	"context"
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
	pools []*pool // of the calls of Run under way
	under int     // deliveries outside of pools
	idle  chan struct{}
}

func (c *courier) init(wait time.Duration, concurrency int) {
	c.wait = wait
	c.own = make(chan struct{}, max(1, concurrency*3/4))
	c.pooled = make(chan struct{}, carriedPerSlot*concurrency)
	c.spawn = func(f func()) { go f() }
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

// join has a pool make the deliveries until it leaves.
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

// start starts a delivery: in a pool where there is one.
func (c *courier) start(inPool func(p *pool) task, alone func()) {
	if c.submit(inPool) {
		return
	}
	c.spawn(func() {
		defer c.ended()
		alone()
	})
}

// submit gives a delivery to a pool. Where there is none it reports false, and
// counts one that is under way outside of pools.
func (c *courier) submit(inPool func(p *pool) task) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.pools); n > 0 {
		c.pools[n-1].submit(inPool(c.pools[n-1]))
		return true
	}
	if c.under++; c.under == 1 {
		c.idle = make(chan struct{})
	}
	return false
}

func (c *courier) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under--; c.under == 0 {
		close(c.idle)
	}
}

// rest waits until no delivery is under way outside of pools. Each ends within
// the hub's ClaimTime.
func (c *courier) rest() {
	for {
		c.mu.Lock()
		under, idle := c.under, c.idle
		c.mu.Unlock()
		if under == 0 {
			return
		}
		<-idle
	}
}

// carry delivers an outcome that a caller has just settled, and waits for that,
// at most for Options.DeliveryWait and as long as the caller's context lasts. The
// delivery goes on after that. It reports whether the caller learns how it ended.
func (h *Hub) carry(ctx context.Context, e entry, probe bool) (delivered entry, known bool) {
	c := &h.courier
	until, wait := fromNano(e.rec.Delivery.Next), c.wait
	if probe {
		until, wait = h.probeUntil(until), 0 // while the breaker is open no caller waits
	}
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	calls := context.WithoutCancel(ctx)
	places := c.places()
	select {
	case places <- struct{}{}:
	default:
		select {
		case places <- struct{}{}:
		case <-timer.C:
			h.handBack(calls, e)
			return entry{}, false
		case <-ctx.Done():
			h.handBack(calls, e)
			return entry{}, false
		}
	}
	done := make(chan entry, 1)
	release := sync.OnceFunc(func() {
		<-places
		close(done) // the caller waits no longer for a delivery that has failed
	})
	do := func() {
		defer release()
		if h.carried(calls, e, until, probe, done) {
			return
		}
		h.handBack(calls, e)
	}
	c.start(func(p *pool) task {
		return task{
			kind: anAnswer, deadline: time.Now(), carried: true,
			do: func() func() { do(); return nil },
			putOff: func() {
				defer release()
				h.handBack(calls, e)
			},
		}
	}, do)
	if wait <= 0 {
		return entry{}, false
	}
	select {
	case e, known = <-done:
		return e, known
	case <-timer.C:
	case <-ctx.Done():
	}
	select {
	case e, known = <-done:
		return e, known
	default:
		return entry{}, false
	}
}

// carried makes the delivery. It reports false where the outcome is to be handed
// back.
func (h *Hub) carried(ctx context.Context, e entry, until time.Time, probe bool, done chan<- entry) bool {
	ctx, cancel := context.WithDeadline(ctx, until.Add(-callMargin))
	defer cancel()
	if ctx.Err() != nil {
		return true // another hub has it by now
	}
	if h.health.open(e.rec.Namespace, anAnswer) && !probe {
		return false // the breaker has opened meanwhile
	}
	if e, err := h.deliver(ctx, e, settler); err == nil {
		done <- e
	}
	return true
}

// handBack leaves an outcome that this process has accepted to whichever hub
// comes first.
func (h *Hub) handBack(ctx context.Context, e entry) {
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	h.unclaim(&e, time.Now())
	if saved, err := h.save(ctx, e); err == nil {
		h.parkAnswer(saved)
	} // else its claim lapses
}

// parkAnswer has an answer done as soon as the breaker closes, or at once.
func (h *Hub) parkAnswer(e entry) {
	h.park(wayOf(e, callToDeliver), parked{e.id, e.version, fromNano(e.rec.Outcome.GetSettled())})
}
