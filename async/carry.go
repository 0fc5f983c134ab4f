package async

import (
	"context"
	"runtime"
	"time"
)

// carriage is the delivery of an outcome that a caller has just settled. It goes on
// when the caller has left.
type carriage struct {
	d     *deliverer
	calls context.Context // outlives the caller's
	entry entry
	until time.Time // when the claim ends
	probe bool

	places <-chan struct{} // it has one of these
	ended  chan struct{}   // closed when it has ended, delivered or not

	// What came of it; written before ended is closed.
	delivered entry
	known     bool
}

// carry delivers an outcome that a caller has just settled, and waits for that,
// at most for Options.DeliveryWait and as long as the caller's context lasts. The
// delivery goes on after that. It reports whether the caller learns how it ended.
func (d *deliverer) carry(ctx context.Context, e entry, probe bool) (delivered entry, known bool) {
	c := &carriage{d: d, calls: context.WithoutCancel(ctx), entry: e, until: fromNano(e.rec.Delivery.Next), probe: probe, ended: make(chan struct{})}
	wait := d.courier.wait
	if probe {
		c.until, wait = probeUntil(c.until, d.claimTime), 0 // while the breaker is open no caller waits
	}
	left := time.Now().Add(wait) // when the caller leaves
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
	runtime.Gosched() // a quick delivery is over then, and its caller needs no timer
	if !c.hasEnded() {
		timer := time.NewTimer(time.Until(left))
		defer timer.Stop()
		select {
		case <-c.ended:
		case <-timer.C:
		case <-ctx.Done():
		}
		if !c.hasEnded() { // it may have ended at that very moment
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

// takePlace takes a place for a delivery. It reports false if there is none before
// the caller leaves or ctx ends.
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

// task is the delivery in a pool.
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

// putOff hands the outcome back, and makes no delivery.
func (c *carriage) putOff() {
	defer c.leave()
	c.d.handBack(c.calls, c.entry)
}

// leave gives the place back, and lets the caller go, also after a delivery that
// has failed.
func (c *carriage) leave() {
	<-c.places
	close(c.ended)
}

// deliver makes the delivery. It reports false where the outcome is to be handed
// back.
func (c *carriage) deliver() bool {
	ctx := withDeadline(c.calls, c.until.Add(-callMargin))
	defer ctx.end()
	if ctx.Err() != nil {
		return true // another hub has it by now
	}
	if c.d.health.open(c.entry.rec.Namespace, anAnswer) && !c.probe {
		return false // the breaker has opened meanwhile
	}
	if e, err := c.d.deliver(ctx, c.entry, bySettler); err == nil {
		c.delivered, c.known = e, true
	}
	return true
}

// handBack leaves an outcome that this process has accepted to whichever hub
// comes first.
func (d *deliverer) handBack(ctx context.Context, e entry) {
	call := withTimeout(ctx, wrapUp)
	defer call.end()
	unclaim(&e, time.Now())
	if saved, err := d.entries.save(call, e); err == nil {
		d.parkAnswer(saved)
	} // else its claim lapses
}

// parkAnswer has an answer done as soon as the breaker closes, or at once.
func (d *deliverer) parkAnswer(e entry) {
	d.park(wayOf(e, callToDeliver), parked{e.id, e.version, fromNano(e.rec.Outcome.GetSettled())})
}

// park remembers an entry until the breaker closes.
func (d *deliverer) park(w way, p parked) {
	d.backlog.park(w, p)
	if !d.health.open(w.namespace, w.kind) { // it has closed meanwhile
		d.backlog.recall(w)
		d.wheel.wake()
	}
}
