package async

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// runner works on due entries.
type runner struct {
	entries      *entries
	rules        *rules
	health       *health
	backlog      *backlog
	wheel        *wheel
	deliverer    *deliverer
	beater       *beater
	notifier     *notifier
	recorder     *recorder
	courier      *courier
	strange      *strange    // whether the hub meets pumps that it does not know
	stalled      atomic.Bool // no call has ended or begun for stuckPool
	pulse        *pulse
	lookout      *lookout
	stats        func(ctx context.Context) (Stats, error)
	statsAge     time.Duration
	troubles     *troubles
	log          *slog.Logger
	claimTime    time.Duration
	pollInterval time.Duration
	concurrency  int
}

// Run works on entries that become due in the store. Run delivers outcomes,
// sends heartbeats, asks Temporal whether activities still exist, calls hooks,
// and removes ended entries. Any number of processes may run hubs on one store.
// If a hub dies, another hub takes over its claimed entries after ClaimTime.
//
// Run blocks until ctx ends. Run then finishes the running calls, including
// deliveries of callers. Each call ends within ClaimTime. After its calls, Run
// records deliveries for at most ten seconds and returns context.Cause(ctx).
// Run logs errors of the store and retries. Without a completer, Run returns an
// error at once.
func (h *Hub) Run(ctx context.Context) error {
	if h.completer == nil {
		return errors.New("async: Run needs Options.Completer: a hub without one settles only")
	}
	return h.runner.run(ctx)
}

const (
	// lastPoll is the longest poll interval after failures of the store.
	lastPoll = 30 * time.Second

	// busyPoll is how many times shorter the poll interval is for a hub that
	// has just found due entries. Without a pause, the hub would claim few
	// entries at a time.
	busyPoll = 20
)

// Work does everything that is due now, waits for running deliveries of
// callers, and returns how many entries were due. Work replaces Run in tests,
// and in processes that live for one request. Without a completer, Work returns
// an error.
func (h *Hub) Work(ctx context.Context) (n int, err error) {
	if h.completer == nil {
		return 0, errors.New("async: Work needs Options.Completer: a hub without one settles only")
	}
	return h.runner.work(ctx)
}

// run implements Run.
func (r *runner) run(ctx context.Context) error {
	wakeups := newWakeups(r.entries.store)
	defer wakeups.calls.Wait() // last: Watch ends with ctx
	pool := r.newPool(ctx)
	defer r.pulse.begin()()
	defer r.showStats(ctx)()
	defer r.recorder.run(ctx)()
	defer r.courier.rest()
	defer pool.wait()
	defer r.courier.join(pool)()
	failures := 0
	for {
		wakeups.watch(ctx, time.Now())
		begun := time.Now()
		r.wheel.pass(r.claimsUntil(begun))
		pool.resume()
		n, asked, err := pool.claim(ctx, begun)
		idle := r.pollInterval
		var signals <-chan struct{} // nil after a failure, or while the hub is busy
		if err == nil {
			r.pulse.beat(time.Now())
			r.troubles.settle(time.Now())
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			failures++
			idle = min(idle<<min(failures, 5), max(idle, lastPoll))
			r.troubles.storeFailed(ctx, "", err)
		case n > asked/2, r.backlog.left():
			failures, idle = 0, 0
		case n > 0:
			failures, idle = 0, wakeups.breath(idle/busyPoll)
		default:
			failures, idle, signals = 0, wakeups.idle(idle, time.Now()), wakeups.signals
		}
		if err == nil {
			r.pulse.pauses(idle)
		}
		if signaled, open := r.idle(ctx, idle, signals, wakeups); signaled {
			now := time.Now()
			wakeups.signaled(open, now)
			if r.claimsUntil(now).Before(now) {
				r.wheel.note(now, now) // this hub claims the entry after the other hubs
			}
			pause(ctx, time.Until(begun.Add(apart)))
		}
	}
}

// idle waits until ctx ends, an entry may be due, the store sends a signal, or
// Watch returns. idle reports whether there was a signal, and whether more
// signals may come.
func (r *runner) idle(ctx context.Context, most time.Duration, signals <-chan struct{}, wakeups *wakeups) (signaled, open bool) {
	if rest := r.health.rest(time.Now()); rest > 0 {
		pause(ctx, rest)
	} else if most == 0 {
		return false, false
	}
	timer := time.NewTimer(min(jitter(most), r.wheel.left(r.claimsUntil(time.Now()))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.wheel.woken:
	case result := <-wakeups.opening: // Run claims again, because no signal announced entries that became due before
		wakeups.opened(ctx, result, time.Now(), r.log)
	case _, open = <-signals:
		return true, open
	case <-timer.C:
	}
	return false, false
}

// work implements Work.
func (r *runner) work(ctx context.Context) (n int, err error) {
	pool := r.newPool(ctx)
	pool.patient = true
	now := time.Now()
	for {
		claimed, _, err := pool.claim(ctx, now)
		n += claimed
		if err != nil || claimed == 0 {
			pool.wait()
			r.courier.rest()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return n, err
		}
	}
}
