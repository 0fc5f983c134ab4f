package async

import (
	"context"
	"sync"
	"time"
)

// carry delivers an outcome that a caller has just settled, and waits for that,
// at most for Options.DeliveryWait and as long as the caller's context lasts. The
// delivery goes on after that. It reports whether the caller learns how it ended.
func (d *deliverer) carry(ctx context.Context, e entry, probe bool) (delivered entry, known bool) {
	c := d.courier
	until, wait := fromNano(e.rec.Delivery.Next), c.wait
	if probe {
		until, wait = probeUntil(until, d.claimTime), 0 // while the breaker is open no caller waits
	}
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	calls := context.WithoutCancel(ctx)
	places := c.places()
	if !takePlace(ctx, places, timer.C) {
		d.handBack(calls, e)
		return entry{}, false
	}
	done := make(chan entry, 1)
	release := sync.OnceFunc(func() {
		<-places
		close(done) // the caller waits no longer for a delivery that has failed
	})
	do := func() {
		defer release()
		if d.carried(calls, e, until, probe, done) {
			return
		}
		d.handBack(calls, e)
	}
	c.start(func(p *pool) task {
		return task{
			kind: anAnswer, deadline: time.Now(), carried: true,
			do: func() func() { do(); return nil },
			putOff: func() {
				defer release()
				d.handBack(calls, e)
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

// takePlace takes a place for a delivery. It reports false if there is none before
// the wait or ctx ends.
func takePlace(ctx context.Context, places chan<- struct{}, waited <-chan time.Time) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	select {
	case places <- struct{}{}:
		return true
	case <-waited:
	case <-ctx.Done():
	}
	return false
}

// carried makes the delivery. It reports false where the outcome is to be handed
// back.
func (d *deliverer) carried(ctx context.Context, e entry, until time.Time, probe bool, done chan<- entry) bool {
	ctx, cancel := context.WithDeadline(ctx, until.Add(-callMargin))
	defer cancel()
	if ctx.Err() != nil {
		return true // another hub has it by now
	}
	if d.health.open(e.rec.Namespace, anAnswer) && !probe {
		return false // the breaker has opened meanwhile
	}
	if e, err := d.deliver(ctx, e, bySettler); err == nil {
		done <- e
	}
	return true
}

// handBack leaves an outcome that this process has accepted to whichever hub
// comes first.
func (d *deliverer) handBack(ctx context.Context, e entry) {
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	unclaim(&e, time.Now())
	if saved, err := d.entries.save(ctx, e); err == nil {
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
