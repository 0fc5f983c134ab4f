package async

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

const (
	// queued is how many entries may queue for each slot of a lane, and slow
	// for how long a call has one.
	queued = 16
	slow   = time.Second
)

// pool does what has been claimed: the calls of Temporal in so many slots, the
// most urgent first, and the calls of the application in lanes beside them. It
// has one goroutine for each entry that it has in hand, and it has a bounded
// number of those, however many wait in the store.
type pool struct {
	hub   *Hub
	calls context.Context // of what is under way: ends with its claims, not with Run
	stop  <-chan struct{}
	slots chan struct{}
	begun chan struct{} // after something that was ready
	hooks *lane
	pumps map[string]*lane // so that a pump that is slow delays no other
	tasks sync.WaitGroup

	mu    sync.Mutex
	ready tasks
}

func (h *Hub) newPool(ctx context.Context) *pool {
	p := &pool{
		hub: h, calls: context.WithoutCancel(ctx), stop: ctx.Done(),
		slots: make(chan struct{}, h.concurrency), begun: make(chan struct{}, 1),
		hooks: newLane(h.concurrency), pumps: make(map[string]*lane, len(h.pumps)),
	}
	for name := range h.pumps {
		p.pumps[name] = newLane(h.concurrency)
	}
	return p
}

func (p *pool) wait() { p.tasks.Wait() }

// claim takes what is due at now, as much as there is room for, and has it
// done. It waits for room, so that the store keeps what the server is too slow
// for, and other hubs may take it.
func (p *pool) claim(ctx context.Context, now time.Time) (n, asked int, err error) {
	// Not in driblets: half of what there is room for.
	for asked = p.room(); asked < p.hub.concurrency; asked = p.room() {
		select {
		case <-p.begun:
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
	until := time.Now().Add(p.hub.claimTime)
	entries, err := p.hub.store.Claim(ctx, now, until, asked)
	for _, stored := range entries {
		c := read(stored)
		p.submit(c.urgency(), func() func() { return p.tend(c, until) })
	}
	return len(entries), asked, err
}

// room is how much more may wait for a slot.
func (p *pool) room() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 2*p.hub.concurrency - len(p.ready)
}

// submit has do called in a slot, and after it, outside of the slot, what it
// returns.
func (p *pool) submit(deadline time.Time, do func() (after func())) {
	p.mu.Lock()
	heap.Push(&p.ready, task{deadline, do})
	p.mu.Unlock()
	p.tasks.Go(func() {
		p.slots <- struct{}{}
		p.mu.Lock()
		urgent := heap.Pop(&p.ready).(task) // of one that was submitted later, maybe
		p.mu.Unlock()
		select {
		case p.begun <- struct{}{}:
		default:
		}
		after := urgent.do()
		<-p.slots
		if after != nil {
			after()
		}
	})
}

// tend does what is due for an entry.
func (p *pool) tend(c claimed, until time.Time) (after func()) {
	select {
	case <-p.stop:
		p.hub.giveBack(p.calls, c)
		return nil
	default:
	}
	ctx, cancel := context.WithDeadline(p.calls, until.Add(-callMargin))
	defer cancel()
	if ctx.Err() != nil {
		return nil // another hub has it by now
	}
	e, next := p.hub.tend(ctx, c)
	return p.following(e, next, until)
}

// following returns what comes after a slot.
func (p *pool) following(e entry, next following, until time.Time) func() {
	switch next {
	case hooksNext:
		return func() {
			p.hooks.do(p.hub.claimTime/2, func() { p.hub.tell(p.calls, e) })
		}
	case pumpNext:
		return func() {
			p.pumps[e.rec.Pump].do(time.Until(until)/4, func() { p.beat(e, until) })
		}
	}
	return nil
}

// beat asks the pump, and has the beat sent.
func (p *pool) beat(e entry, until time.Time) {
	ctx, cancel := context.WithTimeout(p.calls, min(p.hub.claimTime/2, time.Until(until)-callMargin))
	said, err := p.hub.askPump(ctx, e)
	cancel()
	p.submit(e.lapses(), func() func() {
		ctx, cancel := context.WithDeadline(p.calls, until.Add(-callMargin))
		defer cancel()
		if ctx.Err() != nil {
			return nil
		}
		e, next := p.hub.beaten(ctx, e, said, err)
		return p.following(e, next, until)
	})
}

// task is something to do in a slot.
type task struct {
	deadline time.Time
	do       func() (after func())
}

// tasks is a heap, the nearest deadline on top.
type tasks []task

func (t tasks) Len() int           { return len(t) }
func (t tasks) Less(i, j int) bool { return t[i].deadline.Before(t[j].deadline) }
func (t tasks) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *tasks) Push(x any)        { *t = append(*t, x.(task)) }
func (t *tasks) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = task{}
	*t = (*t)[:last]
	return x
}

// lane bounds the calls of one part of the application.
type lane struct{ slots, queue chan struct{} }

func newLane(n int) *lane {
	return &lane{slots: make(chan struct{}, n), queue: make(chan struct{}, queued*n)}
}

// do calls f once there is a slot, or gives up: then the entry comes back when
// its claim lapses. A call that is slow goes on, but not in the way of others.
func (l *lane) do(patience time.Duration, f func()) {
	select {
	case l.queue <- struct{}{}:
		defer func() { <-l.queue }()
	default:
		return
	}
	select {
	case l.slots <- struct{}{}:
	default:
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case l.slots <- struct{}{}:
		case <-timer.C:
			return
		}
	}
	release := sync.OnceFunc(func() { <-l.slots })
	timer := time.AfterFunc(slow, release)
	defer timer.Stop()
	defer release()
	f()
}
