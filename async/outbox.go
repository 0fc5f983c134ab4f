package async

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/recordpb"
	"github.com/latchkey-go/latchkey/store"
)

const (
	// firstQuestion and lastQuestion bound how often it is asked whether an
	// activity is over whose deadline has passed.
	firstQuestion = 5 * time.Second
	lastQuestion  = time.Hour

	// hookQueue is how many entries may queue for each slot of a hook, and
	// slowHook for how long a hook has one.
	hookQueue = 16
	slowHook  = time.Second

	// unreadable is how long an entry is left alone that can't be read, or that
	// a newer release has written.
	unreadable = time.Hour
)

// Run does all that becomes due, in this process's share of the store: it
// delivers what is settled, asks whether activities are over whose deadlines
// have passed, tells the hooks, and removes ended entries. Any number of
// processes run hubs on one store; what one of them held when it died passes
// on after ClaimTime.
//
// Run blocks until ctx ends, finishes the calls that are under way, each of
// which ends within ClaimTime, and returns context.Cause(ctx). Errors of the store are logged, and tried
// again. It needs a completer, and returns an error at once without one.
func (h *Hub) Run(ctx context.Context) error {
	if h.completer == nil {
		return errors.New("async: Run needs Options.Completer: a hub without one settles only")
	}
	pool := h.newPool(ctx)
	defer pool.wait()
	failures := 0
	for {
		n, err := pool.claim(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			failures++
			h.log.ErrorContext(ctx, "async: the store can't be asked for what is due", slog.Any("error", err))
		case n > 0:
			failures = 0
			continue
		default:
			failures = 0
		}
		idle := time.NewTimer(jitter(min(h.pollInterval<<min(failures, 5), max(h.pollInterval, lastPoll))))
		select {
		case <-ctx.Done():
		case <-h.wake:
		case <-idle.C:
		}
		idle.Stop()
	}
}

// lastPoll bounds how far failures of the store stretch the poll interval.
const lastPoll = 30 * time.Second

// Work does all that is due now, and returns how many entries that were. It is
// Run for tests, and for processes that live for one request. It needs a
// completer.
func (h *Hub) Work(ctx context.Context) (n int, err error) {
	if h.completer == nil {
		return 0, errors.New("async: Work needs Options.Completer: a hub without one settles only")
	}
	pool := h.newPool(ctx)
	now := time.Now()
	for {
		claimed, err := pool.claim(ctx, now)
		n += claimed
		if err != nil || claimed == 0 {
			pool.wait()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return n, err
		}
	}
}

// pool bounds how many entries are tended at once.
type pool struct {
	hub   *Hub
	calls context.Context // of what is under way: ends with its claims, not with Run
	slots chan struct{}
	hooks chan struct{} // slots of their own, so that hooks delay no delivery
	queue chan struct{} // for a slot of a hook
	tasks sync.WaitGroup
}

func (h *Hub) newPool(ctx context.Context) *pool {
	return &pool{
		hub: h, calls: context.WithoutCancel(ctx),
		slots: make(chan struct{}, h.concurrency), hooks: make(chan struct{}, h.concurrency),
		queue: make(chan struct{}, hookQueue*h.concurrency),
	}
}

func (p *pool) wait() { p.tasks.Wait() }

// claim takes what is due at now, as much as there are free slots for, and
// tends it. It waits for one free slot.
func (p *pool) claim(ctx context.Context, now time.Time) (int, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	free := 1
	for free < cap(p.slots) && p.take() {
		free++
	}
	entries, err := p.hub.store.Claim(ctx, now, time.Now().Add(p.hub.claimTime), free)
	for range free - len(entries) {
		<-p.slots
	}
	for _, e := range entries {
		p.tasks.Go(func() { p.tend(e) })
	}
	return len(entries), err
}

// tend does what is due for an entry, in the slot that is held for it.
func (p *pool) tend(claimed store.Entry) {
	e, untold := p.hub.tend(p.calls, claimed)
	<-p.slots
	if !untold {
		return
	}
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return // it comes back when its claim lapses
	}
	patience := time.NewTimer(p.hub.claimTime / 2)
	defer patience.Stop()
	select {
	case p.hooks <- struct{}{}:
	case <-patience.C:
		return
	}
	// A hook that is slow waits on, but not in the way of others.
	release := sync.OnceFunc(func() { <-p.hooks })
	slow := time.AfterFunc(slowHook, release)
	defer slow.Stop()
	defer release()
	p.hub.tell(p.calls, e)
}

func (p *pool) take() bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// wakeUp has Run look at once for what this process has made due.
func (h *Hub) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// tend does what is due for an entry that this hub has claimed, and reports
// whether the hooks are to be told.
func (h *Hub) tend(ctx context.Context, stored store.Entry) (e entry, untold bool) {
	e, err := decodeEntry(stored)
	if err == nil && !known(e.rec.State) {
		err = errNewer
	}
	if err == nil {
		e, untold, err = h.step(ctx, e)
	}
	log := h.log.With(slog.String("callback", store.ShortID(stored.ID)))
	switch {
	case err == nil, errors.Is(err, errConflict):
	case errors.Is(err, errNewer), errors.Is(err, store.ErrCorrupt):
		log.ErrorContext(ctx, "async: an entry is left alone", slog.Any("error", err))
		stored.Due = time.Now().Add(unreadable)
		if _, err := h.store.Put(ctx, stored); err != nil && !errors.Is(err, store.ErrConflict) {
			log.WarnContext(ctx, "async: the store failed", slog.Any("error", err))
		}
	default:
		log.WarnContext(ctx, "async: the store failed: the entry comes back when its claim lapses", slog.Any("error", err))
	}
	return e, untold && err == nil
}

// known reports whether this release knows what to do in a state.
func known(s recordpb.State) bool {
	return s >= recordpb.State_STATE_WAITING && s <= recordpb.State_STATE_CLOSED
}

// step takes the entry as far as it goes now, and reports whether the hooks are
// to be told; for that it stays claimed. A conflict ends it: who wrote has made
// the entry due as it needs.
func (h *Hub) step(ctx context.Context, e entry) (_ entry, untold bool, err error) {
	now := time.Now()
	switch e.rec.State {
	case recordpb.State_STATE_WAITING:
		if at := e.questionAt(); !at.IsZero() && isDue(at, now) {
			e, err = h.ask(ctx, e)
			return e, err == nil && len(e.rec.Notices) > 0, err
		}
	case recordpb.State_STATE_SETTLED:
		switch {
		case !isDue(fromNano(e.rec.Delivery.GetNext()), now):
		case e.rec.Early: // and its activity has not come
			h.end(&e, recordpb.End_END_TIMED_OUT, now)
			h.holdNotices(e.rec, now)
			e.due = h.dueAt(e.rec)
			e, err = h.save(ctx, e)
			return e, err == nil && len(e.rec.Notices) > 0, err
		default:
			e, err = h.deliver(ctx, e, runner)
			return e, err == nil && len(e.rec.Notices) > 0, err
		}
	case recordpb.State_STATE_CLOSED:
		if len(e.rec.Notices) == 0 && isDue(h.removeAt(e.rec), now) {
			err := h.store.Delete(ctx, e.id, e.version)
			if errors.Is(err, store.ErrConflict) {
				err = errConflict
			}
			return entry{}, false, err
		}
	}
	if len(e.rec.Notices) > 0 && isDue(fromNano(e.rec.NextNotice), now) {
		return e, true, nil
	}
	// Another hub saw it due that has another retention, say. The claim has
	// moved it: back to when it is.
	e.due = h.dueAt(e.rec)
	e, err = h.save(ctx, e)
	return e, false, err
}

// ask asks whether an activity is over whose deadline has passed: a pause or
// changed options may have moved it.
func (h *Hub) ask(ctx context.Context, e entry) (entry, error) {
	call, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	status, err := h.completer.Describe(call, target(e.rec).ByID(), "")
	cancel()
	ctx, cancel = context.WithTimeout(ctx, wrapUp)
	defer cancel()
	now := time.Now()
	if err == nil && !status.Pending && status.End != EndBuffered {
		h.end(&e, notOurs(ended(status.End).end), now)
	} else {
		e.rec.Questions++
		e.rec.NextQuestion = now.Add(jitter(doubled(firstQuestion, lastQuestion, int(e.rec.Questions)))).UnixNano()
	}
	h.holdNotices(e.rec, now)
	e.due = h.dueAt(e.rec)
	return h.save(ctx, e)
}

// end closes an entry undelivered, and has the application told.
func (h *Hub) end(e *entry, why recordpb.End, now time.Time) {
	closed(e.rec, why, now)
	h.notice(e.rec, recordpb.NoticeKind_NOTICE_KIND_OVER, why, now)
	e.due = h.dueAt(e.rec)
}

// notOurs: an entry that has no outcome was not ended by one of ours.
func notOurs(why recordpb.End) recordpb.End {
	if why == recordpb.End_END_DELIVERED {
		return recordpb.End_END_OTHER
	}
	return why
}

// questionAt is when it is asked whether a waiting activity is over: a
// deadline is a question and no verdict.
func (e entry) questionAt() time.Time {
	if e.rec.NextQuestion != 0 {
		return fromNano(e.rec.NextQuestion)
	}
	return fromNano(e.rec.Deadline)
}

// isDue compares as stores do, in whole milliseconds: an entry that a store
// finds due must not be too early here.
func isDue(at, now time.Time) bool { return at.UnixMilli() <= now.UnixMilli() }

func (h *Hub) removeAt(r *recordpb.Record) time.Time { return fromNano(r.Ended).Add(h.retention) }

// dueAt is when the entry needs somebody next; the zero time is never.
func (h *Hub) dueAt(r *recordpb.Record) time.Time {
	var due time.Time
	switch r.State {
	case recordpb.State_STATE_WAITING:
		due = entry{rec: r}.questionAt()
	case recordpb.State_STATE_SETTLED:
		due = fromNano(r.Delivery.GetNext())
	case recordpb.State_STATE_CLOSED:
		due = h.removeAt(r)
	}
	if len(r.Notices) > 0 {
		// Nothing is removed before it was told.
		next := fromNano(r.NextNotice)
		if due.IsZero() || next.Before(due) || r.State == recordpb.State_STATE_CLOSED {
			due = next
		}
	}
	return due
}

// doubled doubles from try to try, from first at the first one, up to last.
func doubled(first, last time.Duration, tries int) time.Duration {
	d := first
	for range tries - 1 {
		if d >= last/2 {
			return last
		}
		d *= 2
	}
	return d
}

// jitter spreads d by a quarter to either side, so that what failed together
// doesn't come back together.
func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}

// Abandon ends the entry undelivered, by an operator's word: what was
// accepted is not delivered, Temporal isn't called, and the Over hook gets
// ErrAbandoned. The activity goes on as far as Temporal is concerned; a later
// attempt of it asks again. It is nil where the entry was abandoned before, and
// ErrClosed where the activity is over.
func (c Callback) Abandon(ctx context.Context) error {
	return failed("abandon", c.id, c.abandon(ctx))
}

func (c Callback) abandon(ctx context.Context) error {
	if c.hub == nil {
		return errZero
	}
	for range maxConflicts {
		e, err := c.current(ctx)
		if err != nil {
			return err
		}
		if !known(e.rec.State) {
			return errNewer
		}
		if e.rec.State == recordpb.State_STATE_CLOSED {
			if e.rec.End == recordpb.End_END_ABANDONED {
				return nil
			}
			return closedError(e.rec)
		}
		c.hub.end(&e, recordpb.End_END_ABANDONED, time.Now())
		if _, err = c.hub.save(ctx, e); errors.Is(err, errConflict) {
			continue
		}
		c.hub.wakeUp()
		return err
	}
	return errConflicts
}
