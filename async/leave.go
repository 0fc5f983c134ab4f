package async

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

const (
	// maxLeave is the longest time for which a hub leaves an entry because a
	// breaker is open. maxLeaveQuestion is the longest time if only a question
	// is due, because millions of entries may have one.
	maxLeave         = 10 * time.Second
	maxLeaveQuestion = 5 * time.Minute

	// strangeFor is how long a hub lets other hubs claim first once it has met
	// an unknown pump.
	strangeFor = time.Minute
)

// lag returns how long an entry must be due before a hub that lets other hubs
// claim first claims it. Every other hub polls at least once in that time.
func (r *runner) lag() time.Duration { return r.pollInterval + r.pollInterval/2 }

// claimsUntil returns the time up to which a hub claims due entries. A claim
// cannot choose among the due entries. A claim also takes entries for which
// this hub can do nothing, and briefly keeps them from other hubs. A hub
// therefore lets other hubs claim first if a breaker is open, if all its calls
// hang, or if it has met an unknown pump.
func (r *runner) claimsUntil(now time.Time) time.Time {
	if r.health.behind(now) || r.stalled.Load() || r.strange.lately(now) {
		return now.Add(-r.lag())
	}
	return now
}

// strange records when a hub last met a pump that it does not know.
type strange struct{ at atomic.Int64 }

func (s *strange) met(now time.Time) { s.at.Store(now.UnixNano()) }

// lately reports whether the hub met an unknown pump within the last minute.
// Hubs that know the pump send its beats first, and this hub then no longer
// meets the pump. The time is therefore longer than the usual time between two
// heartbeats.
func (s *strange) lately(now time.Time) bool {
	at := s.at.Load()
	return at != 0 && now.UnixNano()-at < int64(strangeFor)
}

// leaveFor returns how long a hub leaves an entry that has been due since the
// given time. Other hubs must not find the entry claimed, and an entry that no
// hub handles must not keep the store busy.
func leaveFor(since, now time.Time, most time.Duration) time.Duration {
	return min(max(now.Sub(since)/2, 0), most)
}

// need is a kind of call that is due for an entry.
type need int

const (
	noCall need = iota
	callToDeliver
	callToBeat
	callToAsk
)

// needs returns which call is due for an entry, and since when.
func (e entry) needs(now time.Time) (n need, since time.Time) {
	switch e.rec.State {
	case record.Waiting:
		if at := lifecycle.BeatAt(e.rec); !at.IsZero() && lifecycle.IsDue(at, now) {
			return callToBeat, at
		}
		if at := lifecycle.QuestionAt(e.rec); !at.IsZero() && lifecycle.IsDue(at, now) {
			return callToAsk, at
		}
	case record.Settled:
		if !e.rec.Early && lifecycle.IsDue(fromNano(e.rec.Delivery.GetNext()), now) {
			return callToDeliver, fromNano(e.rec.Outcome.GetSettled())
		}
	}
	return noCall, time.Time{}
}

// admits reports whether this hub may make the due call for an entry, and
// whether that call is a probe.
func (r *runner) admits(e entry) (admitted, probe bool) {
	now := time.Now()
	n, _ := e.needs(now)
	if n == noCall {
		return true, false
	}
	return r.health.admits(wayOf(e, n), now)
}

// wayOf returns the breaker that a call for an entry depends on.
func wayOf(e entry, n need) way {
	if n == callToDeliver {
		return way{e.rec.Namespace, anAnswer}
	}
	return way{e.rec.Namespace, aBeat}
}

// probeUntil returns the end of this hub's claim on an entry that serves as a
// probe. A probe that hangs must not keep the entry from other hubs for long.
func probeUntil(until time.Time, claimTime time.Duration) time.Time {
	if soon := time.Now().Add(max(claimTime/4, 2*callMargin)); soon.Before(until) {
		return soon
	}
	return until
}

// leave leaves an entry to other hubs, because the breaker of its namespace is
// open and this hub can do nothing now. The hub still calls the entry's hooks.
func (r *runner) leave(ctx context.Context, e entry, until time.Time) (entry, following) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	now := time.Now()
	n, since := e.needs(now)
	reported := n == callToDeliver && r.rules.forAnswer(e.rec.Namespace, now).ReportRefusal(e.rec)
	if len(e.rec.Notices) > 0 && lifecycle.IsDue(fromNano(e.rec.NextNotice), now) {
		held, next, err := thenHooks(saveHeld(ctx, r.entries, r.rules, e, now))
		if err != nil && !errors.Is(err, errConflict) {
			r.troubles.storeFailed(ctx, e.id, err)
		}
		return held, next
	}
	most := maxLeave
	if n == callToAsk {
		most = maxLeaveQuestion
	}
	due := now.Add(leaveFor(since, now, most))
	for _, other := range []time.Time{lifecycle.QuestionAt(e.rec), fromNano(e.rec.NextNotice)} {
		if e.rec.State == record.Waiting && other.After(now) && other.Before(due) {
			due = other
		}
	}
	if reported || due.Before(until) || n == callToAsk { // otherwise the claim of the entry expires at about that time
		e.until = due
		var err error
		if e, err = r.entries.save(ctx, e); err != nil {
			return e, nothingNext // its claim lapses
		}
	}
	if n == callToBeat {
		since = lifecycle.Lapses(e.rec)
	}
	if n != callToAsk {
		r.deliverer.park(wayOf(e, n), parked{e.id, e.version, since})
	}
	return e, nothingNext
}
