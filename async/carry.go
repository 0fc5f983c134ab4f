package async

import (
	"context"
	"runtime"
	"time"
)

// carriage is the delivery of an outcome that a caller has just settled. The
// delivery continues after the caller has left.
type carriage struct {
	d     *deliverer
	calls context.Context // outlives the caller's
	entry entry
	until time.Time // when the claim ends
	probe bool

	places <-chan struct{} // a delivery holds one of these places
	ended  chan struct{}   // closed when the delivery has ended, successful or not

	// The entry after the delivery; written before ended is closed.
	delivered entry
	known     bool
}

// carry delivers an outcome that a caller has just settled. carry waits for the
// delivery, at most for Options.DeliveryWait and until the caller's context
// ends. The delivery continues after the caller has left. carry reports whether
// the caller learns the end of the delivery.
func (d *deliverer) carry(ctx context.Context, e entry, probe bool) (delivered entry, known bool) {
	c := &carriage{d: d, calls: context.WithoutCancel(ctx), entry: e, until: fromNano(e.rec.Delivery.Next), probe: probe, ended: make(chan struct{})}
	wait := d.courier.wait
	if probe {
		c.until, wait = probeUntil(c.until, d.claimTime), 0 // while the breaker is open no caller waits
	}
	left := time.Now().Add(wait) // the time when the caller leaves
	places := d.courier.places()
	if !takePlace(ctx, places, left) {
		d.handBack(c.calls, e)
		return entry{}, false
	}
	c.places = places
	d.courier.start(c)
	if wait <= 0 {
		return entry{}, false
	}
	return c.wait(ctx, left)
}

// wait waits for the delivery until the caller leaves, or ctx ends.
func (c *carriage) wait(ctx context.Context, left time.Time) (delivered entry, known bool) {
	runtime.Gosched() // a quick delivery has ended by now, and its caller needs no timer
	if !c.hasEnded() {
		timer := time.NewTimer(time.Until(left))
		defer timer.Stop()
		select {
		case <-c.ended:
		case <-timer.C:
		case <-ctx.Done():
		}
		if !c.hasEnded() { // the delivery may have ended just before
			return entry{}, false
		}
	}
	return c.delivered, c.known
}

func (c *carriage) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// takePlace takes a place for a delivery. takePlace returns false if no place
// becomes free before the caller leaves or ctx ends.
func takePlace(ctx context.Context, places chan<- struct{}, left time.Time) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(left))
	defer timer.Stop()
	select {
	case places <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// task returns the delivery as a task of a pool.
func (c *carriage) task() task {
	return task{kind: anAnswer, deadline: time.Now(), do: c.inSlot, putOff: c.putOff, carried: true}
}

func (c *carriage) inSlot() (after func()) {
	c.run()
	return nil
}

// run makes the delivery, or hands the outcome back.
func (c *carriage) run() {
	defer c.leave()
	if !c.deliver() {
		c.d.handBack(c.calls, c.entry)
	}
}

// putOff hands the outcome back without a delivery.
func (c *carriage) putOff() {
	defer c.leave()
	c.d.handBack(c.calls, c.entry)
}

// leave releases the place and lets the caller continue, also after a delivery
// that failed.
func (c *carriage) leave() {
	<-c.places
	close(c.ended)
}

// deliver makes the delivery. deliver returns false if the outcome must be
// handed back.
func (c *carriage) deliver() bool {
	ctx := withDeadline(c.calls, c.until.Add(-callMargin))
	defer ctx.end()
	if ctx.Err() != nil {
		return true // another hub has the entry by now
	}
	if c.d.health.open(c.entry.rec.Namespace, anAnswer) && !c.probe {
		return false // the breaker has opened meanwhile
	}
	if e, err := c.d.deliver(ctx, c.entry, bySettler); err == nil {
		c.delivered, c.known = e, true
	}
	return true
}

// handBack leaves an outcome that this process has accepted to the first hub
// that claims it.
func (d *deliverer) handBack(ctx context.Context, e entry) {
	call := withTimeout(ctx, wrapUp)
	defer call.end()
	unclaim(&e, time.Now())
	if saved, err := d.entries.save(call, e); err == nil {
		d.parkAnswer(saved)
	} // otherwise the claim of the entry must expire first
}

// parkAnswer schedules a delivery for when the breaker closes, or at once if it
// is closed.
func (d *deliverer) parkAnswer(e entry) {
	d.park(wayOf(e, callToDeliver), parked{e.id, e.version, fromNano(e.rec.Outcome.GetSettled())})
}

// park remembers an entry until the breaker closes.
func (d *deliverer) park(w way, p parked) {
	d.backlog.park(w, p)
	if !d.health.open(w.namespace, w.kind) { // the breaker has closed meanwhile
		d.backlog.recall(w)
		d.wheel.wake()
	}
}
