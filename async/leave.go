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
	// maxLeave bounds how long a hub leaves an entry alone because a breaker is
	// open. maxLeaveQuestion is the bound if only a question is due: millions of
	// entries may have one.
	maxLeave         = 10 * time.Second
	maxLeaveQuestion = 5 * time.Minute

	// strangeFor is for how long a hub comes after the others once it has met a
	// pump that it doesn't know.
	strangeFor = time.Minute
)

// lag is how long an entry has been due before a hub claims it that has to come
// after the others. Every other hub looks at least once in that time.
func (r *runner) lag() time.Duration { return r.pollInterval + r.pollInterval/2 }

// claimsUntil returns the time up to which a hub claims what is due. A claim
// cannot choose among the entries that are due, and takes those that the hub can
// do nothing for away from other hubs, however briefly. So a hub with an open
// breaker, one whose calls all hang, and one that has met an unknown pump come after
// the others.
func (r *runner) claimsUntil(now time.Time) time.Time {
	if r.health.behind(now) || r.stalled.Load() || r.strange.lately(now) {
		return now.Add(-r.lag())
	}
	return now
}

// strange is when a hub last met a pump that it doesn't know.
type strange struct{ at atomic.Int64 }

func (s *strange) met(now time.Time) { s.at.Store(now.UnixNano()) }

// lately reports whether it met one within the last minute. Hubs that know the
// pump do its beats before this one, which then meets it no more: so the time is
// longer than that between two heartbeats usually is.
func (s *strange) lately(now time.Time) bool {
	at := s.at.Load()
	return at != 0 && now.UnixNano()-at < int64(strangeFor)
}

// leaveFor is how long an entry is left alone that has been due since then: other
// hubs must not find it taken, and if none does it, it must not keep the store
// busy.
func leaveFor(since, now time.Time, most time.Duration) time.Duration {
	return min(max(now.Sub(since)/2, 0), most)
}

// need is a call that is due for an entry.
type need int

const (
	noCall need = iota
	callToDeliver
	callToBeat
	callToAsk
)

// needs reports which call is due for an entry, and since when.
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

// admits reports whether this hub may make the call that is due for an entry,
// and whether that call is a probe.
func (r *runner) admits(e entry) (admitted, probe bool) {
	now := time.Now()
	n, _ := e.needs(now)
	if n == noCall {
		return true, false
	}
	return r.health.admits(wayOf(e, n), now)
}

// wayOf returns what a call for an entry goes through.
func wayOf(e entry, n need) way {
	if n == callToDeliver {
		return way{e.rec.Namespace, anAnswer}
	}
	return way{e.rec.Namespace, aBeat}
}

// probeUntil is until when an entry is this hub's for which it makes a probe. A
// probe that hangs must not keep it from other hubs for long.
func probeUntil(until time.Time, claimTime time.Duration) time.Time {
	if soon := time.Now().Add(max(claimTime/4, 2*callMargin)); soon.Before(until) {
		return soon
	}
	return until
}

// leave leaves an entry alone for which this hub can do nothing now, since the
// breaker of its namespace is open. Hooks are called all the same.
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
	if reported || due.Before(until) || n == callToAsk { // otherwise its claim lapses about then
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
