package async

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

const (
	// quickPump is the longest time for which an entry takes room while its
	// pump is asked.
	quickPump = 10 * time.Millisecond

	// stuckPool is the time without a new call after which waiting answers are
	// postponed.
	stuckPool = 250 * time.Millisecond

	// staleEntry is the maximum age of an entry for which a beat is sent
	// without another read.
	staleEntry = 100 * time.Millisecond
)

// pool works on claimed entries. The pool makes the calls to Temporal in a
// limited number of slots, the most urgent first. Calls of the application have
// lanes of their own. The pool has one goroutine for each of its entries. The
// pool takes a limited number of entries, however many wait in the store.
type pool struct {
	runner *runner
	calls  context.Context // the context of running calls: it ends with their claims, and not with Run
	stop   <-chan struct{}

	patient bool // set under Work: waiting calls are not postponed
	slots   chan struct{}
	begun   chan struct{} // signals that there may be room
	hooks   *lane
	leaving chan struct{}    // entries that are being left to other hubs
	pumps   map[string]*lane // one lane for each pump, so that a slow pump delays no other
	tasks   sync.WaitGroup

	mu      sync.Mutex
	ready   [2]tasks // by kind
	answers int      // in slots
	carried int      // number of callers' answers that wait for a slot
	asking  int      // number of pumps that were asked a moment ago; under Work, the number of calls in the lanes
}

func (r *runner) newPool(ctx context.Context) *pool {
	p := &pool{
		runner: r, calls: context.WithoutCancel(ctx), stop: ctx.Done(),
		slots: make(chan struct{}, r.concurrency), begun: make(chan struct{}, 1), leaving: make(chan struct{}, r.concurrency),
		hooks: newLane(r.concurrency), pumps: make(map[string]*lane, len(r.beater.pumps)),
	}
	for name := range r.beater.pumps {
		p.pumps[name] = newLane(r.concurrency)
	}
	return p
}

func (p *pool) wait() { p.tasks.Wait() }

// claim claims the entries that are due at now, as far as there is room, and
// submits them. claim waits for room. Entries that Temporal is too slow for
// thus stay in the store, where other hubs can claim them.
func (p *pool) claim(ctx context.Context, now time.Time) (n, asked int, err error) {
	// A claim takes at least half of the free room, so that there are few
	// claims.
	for asked = p.room(); asked < p.runner.concurrency; asked = p.room() {
		patience := time.NewTimer(stuckPool)
		select {
		case <-p.begun:
		case <-patience.C:
			p.shed()
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
		patience.Stop()
	}
	if err := ctx.Err(); err != nil {
		return 0, 0, err // the hub stops, which does not count as a failed claim
	}
	until := time.Now().Add(p.runner.claimTime)
	if !p.patient {
		now = p.runner.claimsUntil(now)
	}
	call, seen := p.runner.lookout.observe(ctx, OpClaim, "", entry{})
	entries, err := p.runner.entries.store.Claim(call, now, until, asked)
	seen.end(Done{Class: storeClass(err), Count: len(entries)})
	for _, stored := range entries {
		c := read(stored)
		if c.err == nil && !p.patient && p.leaves(c.entry, until) {
			continue
		}
		t := task{kind: aBeat, deadline: c.urgency(), do: func() func() { return p.tend(c, until) }}
		if c.err == nil && c.rec.State == record.Settled {
			t.kind = anAnswer
			t.putOff = func() { p.putOffAnswer(c.entry) }
		}
		p.submit(t)
	}
	return len(entries), asked, err
}

// leaves handles an entry that needs no slot now, and reports whether it did.
// The entry is left to other hubs while the breaker is open, or queued behind
// older entries of the backlog.
func (p *pool) leaves(e entry, until time.Time) bool {
	n, since := e.needs(time.Now())
	switch {
	case n == noCall:
		return false
	case p.runner.health.shut(wayOf(e, n), time.Now()):
		p.leaving <- struct{}{}
		p.tasks.Go(func() {
			e, next := p.runner.leave(p.calls, e, until)
			after := p.following(e, next, until)
			<-p.leaving
			if after != nil {
				after()
			}
		})
		return true
	default:
		return n == callToDeliver && p.runner.backlog.queue(parked{e.id, e.version, since})
	}
}

// putOffAnswer postpones an answer, and remembers it if the breaker opens now.
func (p *pool) putOffAnswer(e entry) {
	if saved, err := p.runner.putOff(p.calls, e, triedBefore); err == nil {
		p.runner.backlog.park(wayOf(saved, callToDeliver), parked{saved.id, saved.version, fromNano(saved.rec.Outcome.GetSettled())})
	}
}

// room returns how many more entries may wait for a slot.
func (p *pool) room() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 2*p.runner.concurrency - len(p.ready[aBeat]) - (len(p.ready[anAnswer]) - p.carried) - p.asking
}

// shed postpones the waiting answers if no call has begun for a while. The
// answers that occupy the slots hang, but the answers behind them may not.
// Other hubs claim first until a slot is free again.
func (p *pool) shed() {
	if p.patient {
		return
	}
	p.runner.stalled.Store(true)
	p.mu.Lock()
	answers := p.ready[anAnswer]
	p.ready[anAnswer], p.carried = nil, 0
	p.mu.Unlock()
	for _, t := range answers {
		p.tasks.Go(t.putOff)
	}
}

// takeRoom takes room for an entry while its pump is asked. The room is free
// again when the pump has answered, or after quickPump, so that a slow pump
// takes no room from other entries. Without this limit, claims would be faster
// than quick pumps, and the pumps' lanes would overflow. Under Work, where
// lanes refuse no call, the entry keeps its room until the answer.
func (p *pool) takeRoom() (answered func()) {
	p.mu.Lock()
	p.asking++
	p.mu.Unlock()
	giveBack := sync.OnceFunc(func() {
		p.mu.Lock()
		p.asking--
		p.mu.Unlock()
		p.vacated()
	})
	if p.patient {
		return giveBack
	}
	timer := time.AfterFunc(quickPump, giveBack)
	return func() {
		timer.Stop()
		giveBack()
	}
}

// vacated wakes claim, since there may be room.
func (p *pool) vacated() {
	select {
	case p.begun <- struct{}{}:
	default:
	}
}

// submit calls the task's do in a slot. After do has returned, submit calls the
// function that do returns, outside of the slot.
func (p *pool) submit(t task) {
	p.mu.Lock()
	heap.Push(&p.ready[t.kind], t)
	if t.carried {
		p.carried++
	}
	p.mu.Unlock()
	p.tasks.Go(func() {
		p.slots <- struct{}{}
		defer func() { <-p.slots }()
		// A task that was submitted later may be more urgent now.
		for t, more := p.next(); more; t, more = p.next() {
			after := t.do()
			p.ended(t.kind)
			if after != nil {
				p.tasks.Go(after)
			}
		}
	})
}

// next takes the most urgent task for a free slot. Answers get at most three of
// four slots. If the server of one namespace hangs, heartbeats for other
// namespaces continue.
func (p *pool) next() (t task, more bool) {
	if p.runner.stalled.Load() && p.runner.stalled.CompareAndSwap(true, false) {
		p.runner.wheel.wake()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.vacated()
	kind := aBeat
	switch answers, beats := p.ready[anAnswer], p.ready[aBeat]; {
	case len(answers) > 0 && p.answers < max(1, p.runner.concurrency*3/4) && (len(beats) == 0 || !beats[0].deadline.Before(answers[0].deadline)):
		kind = anAnswer
		p.answers++
	case len(beats) == 0:
		return task{}, false // the goroutines that deliver answers take the remaining tasks
	}
	t = heap.Pop(&p.ready[kind]).(task)
	if t.carried {
		p.carried--
	}
	return t, true
}

func (p *pool) ended(k kind) {
	if k == anAnswer {
		p.mu.Lock()
		p.answers--
		p.mu.Unlock()
	}
}

// tend does the work that is due for an entry.
func (p *pool) tend(c claimed, until time.Time) (after func()) {
	select {
	case <-p.stop:
		p.runner.giveBack(p.calls, c)
		return nil
	default:
	}
	until = p.renewed(until)
	if c.err == nil && !p.patient {
		switch admitted, probe := p.runner.admits(c.entry); {
		case !admitted:
			e, next := p.runner.leave(p.calls, c.entry, until)
			return p.following(e, next, until)
		case probe:
			until = probeUntil(until, p.runner.claimTime)
		}
	}
	ctx := withDeadline(p.calls, until.Add(-callMargin))
	defer ctx.end()
	if ctx.Err() != nil {
		return nil // another hub has the entry by now
	}
	e, next := p.runner.tend(ctx, c)
	if next == pumpNext && p.runner.beater.atOnce(e) {
		said, err := p.runner.beater.sayAtOnce(ctx, e)
		e, next = p.runner.beater.beaten(ctx, e, said, err)
	}
	return p.following(e, next, until)
}

// following returns the step that comes after a slot.
func (p *pool) following(e entry, next following, until time.Time) func() {
	switch next {
	case hooksNext:
		answered := func() {}
		if p.patient {
			answered = p.takeRoom()
		}
		return func() {
			defer answered()
			if !p.hooks.do(p.stop, p.patience(p.runner.claimTime/2), func() { p.notify(e, p.renewed(until)) }) {
				p.runner.putOff(p.calls, e, lifecycle.FirstBeatRetry)
			}
		}
	case pumpNext:
		answered := p.takeRoom()
		return func() {
			defer answered()
			if !p.pumps[e.rec.Pump].do(p.stop, p.patience(time.Until(until)/4), func() { p.beat(e, p.renewed(until)) }) {
				p.runner.putOff(p.calls, e, lifecycle.FirstBeatRetry)
			}
		}
	}
	return nil
}

// renewed returns until when this hub has claimed an entry. Under Work, tasks
// wait without a limit, and another hub may also have the entry by now. The
// entry's version protects the entry from stale writes of this hub.
func (p *pool) renewed(until time.Time) time.Time {
	if p.patient {
		return time.Now().Add(p.runner.claimTime)
	}
	return until
}

// patience is how long a call waits for its lane; 0 means without a limit, as
// under Work.
func (p *pool) patience(d time.Duration) time.Duration {
	if p.patient {
		return 0
	}
	return max(d, time.Millisecond)
}

// notify calls the hooks while this hub has the entry claimed.
func (p *pool) notify(e entry, until time.Time) {
	if held := fromNano(e.rec.NextNotice); held.After(until) {
		until = held
	}
	ctx, cancel := context.WithDeadline(p.calls, until.Add(-callMargin))
	defer cancel()
	p.runner.notifier.notify(ctx, e)
}

// beat asks the pump and submits the beat.
func (p *pool) beat(e entry, until time.Time) {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(p.calls, min(p.runner.claimTime/2, time.Until(until)-callMargin))
	said, err := p.runner.beater.askPump(ctx, e)
	cancel()
	p.submit(task{kind: aBeat, deadline: lifecycle.Lapses(e.rec), do: func() func() {
		ctx := withDeadline(p.calls, until.Add(-callMargin))
		defer ctx.end()
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(asked) > staleEntry {
			waits := false
			if e, waits = p.runner.beater.stillWaits(ctx, e); !waits {
				return nil
			}
		}
		e, next := p.runner.beater.beaten(ctx, e, said, err)
		return p.following(e, next, until)
	}})
}
