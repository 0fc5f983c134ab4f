package async

import (
	"context"
	"errors"
	"time"
)

// Run does all that becomes due, in this process's share of the store: it
// delivers what is settled, heartbeats for what waits, asks whether activities
// are over whose deadlines have passed, tells the hooks, and removes ended
// entries. Any number of processes run hubs on one store; what one of them held
// when it died passes on after ClaimTime.
//
// Run blocks until ctx ends, finishes the calls that are under way, deliveries of
// callers included, each of which ends within ClaimTime, writes down for at most ten seconds more what was
// delivered, and returns context.Cause(ctx). Errors of the
// store are logged, and tried again. It needs a completer, and returns an error
// at once without one.
func (h *Hub) Run(ctx context.Context) error {
	if h.completer == nil {
		return errors.New("async: Run needs Options.Completer: a hub without one settles only")
	}
	pool := h.newPool(ctx)
	defer h.pulse.begin()()
	defer h.finisher.run(ctx)()
	defer h.courier.rest()
	defer pool.wait()
	defer h.courier.join(pool)()
	wakeups := newWakeups(h.store)
	failures := 0
	for {
		// Before the claim, so that no entry becomes due in between.
		wakeups.watch(ctx, time.Now(), h.log)
		begun := time.Now()
		h.soon.pass(h.claimsUntil(begun))
		pool.resume()
		n, asked, err := pool.claim(ctx, begun)
		idle := h.pollInterval
		var signals <-chan struct{} // nil after a failure, or while the hub is busy
		if err == nil {
			h.pulse.beat(time.Now())
			h.troubles.settle(time.Now())
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			failures++
			idle = min(idle<<min(failures, 5), max(idle, lastPoll))
			h.storeFailed(ctx, "", err)
		case n > asked/2, h.backlog.left():
			failures, idle = 0, 0
		case n > 0:
			failures, idle = 0, wakeups.breath(idle/busyPoll)
		default:
			failures, idle, signals = 0, wakeups.idle(idle, time.Now()), wakeups.signals
		}
		if err == nil {
			h.pulse.pauses(idle)
		}
		if rest := h.health.rest(time.Now()); rest > 0 {
			pause(ctx, rest)
		} else if idle == 0 {
			continue
		}
		now := time.Now()
		timer := time.NewTimer(min(jitter(idle), h.soon.left(h.claimsUntil(now))))
		select {
		case <-ctx.Done():
		case <-h.wake:
		case _, open := <-signals:
			now = time.Now()
			wakeups.signaled(open, now)
			if h.claimsUntil(now).Before(now) {
				h.soon.note(now, now) // it claims the entry when the others have had their turn
			}
			pause(ctx, time.Until(begun.Add(apart)))
		case <-timer.C:
		}
		timer.Stop()
	}
}

const (
	// lastPoll bounds how far failures of the store stretch the poll interval.
	lastPoll = 30 * time.Second

	// busyPoll is how much sooner a hub looks again that has just found
	// something. It could look at once, but would claim in driblets.
	busyPoll = 20
)

// Work does all that is due now, waits for the deliveries of callers that are
// under way, and returns how many entries were due. It is Run for tests, and for
// processes that live for one request. It needs a
// completer.
func (h *Hub) Work(ctx context.Context) (n int, err error) {
	if h.completer == nil {
		return 0, errors.New("async: Work needs Options.Completer: a hub without one settles only")
	}
	pool := h.newPool(ctx)
	pool.patient = true
	now := time.Now()
	for {
		claimed, _, err := pool.claim(ctx, now)
		n += claimed
		if err != nil || claimed == 0 {
			pool.wait()
			h.courier.rest()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return n, err
		}
	}
}

// wakeUp has Run look at once for what this process has made due.
func (h *Hub) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}
