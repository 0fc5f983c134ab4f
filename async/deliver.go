package async

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// lastRetryOpen bounds the backoff where the hub's breaker is open, and not
	// the outcome the cause.
	lastRetryOpen = 8 * time.Second
	// refusedRetry is for what somebody has to mend first.
	refusedRetry = 5 * time.Minute
	classRefused = "refused"
)

// verdict is what is known after a try to deliver.
type verdict struct {
	end   record.End // set: the entry closes
	class string     // else: why it stays settled
	err   error
	after time.Duration // until the next try; zero: by the number of tries
}

// role says who delivers.
type role int

const (
	// settler has just accepted the outcome: it can't have been sent before.
	settler role = iota
	// resolver is a later attempt's Start, which has resolved by Temporal's word
	// that the failure is for this attempt: it can't have been sent to it before.
	resolver
	// starter is any other Start.
	starter
	// runner tells the hooks itself.
	runner
)

// deliver tries to report the settled outcome, whose entry this caller has
// claimed, and writes down what came of it. There is one way out for an
// outcome, and it is the completer: it never returns to the worker.
//
// The error is only that of the store: what Temporal answers is in the entry. A
// settler gets none where a result is delivered and others write that down.
func (h *Hub) deliver(ctx context.Context, e entry, as role) (entry, error) {
	if h.completer == nil {
		return e, nil
	}
	o, err := outcome(e.rec)
	if err != nil {
		h.troubles.unreadable.happened(ctx, append(aboutEntry(e.id, err), slog.String("what", "its outcome"))...)
		return e, err
	}
	call, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	var v verdict
	early, stop := context.WithTimeout(call, (h.claimTime-callMargin)/3)
	err = h.passOn(early, e.rec, as)
	stop()
	if err != nil && e.rec.Delivery.GetTries() == 0 {
		v = undelivered(err) // once: an outcome doesn't hang on its details
	} else {
		v = h.report(call, e.rec, o, as)
		if answered(v.err) { // also where there was only a question to ask
			h.health.close(way{e.rec.Namespace, anAnswer}, time.Now())
		}
	}
	cancel()

	about := append(aboutEntry(e.id, v.err), slog.String("outcome", o.String()))
	switch {
	case v.end == record.EndDelivered:
		h.log.LogAttrs(ctx, slog.LevelDebug, "async: delivered", about...)
	case v.end != record.NoEnd:
		h.troubles.lost.happened(ctx, append(about, slog.Any("reason", endError(v.end)))...)
	default:
		h.troubles.undelivered.happened(ctx, append(about, slog.String("class", v.class))...)
	}
	if as == settler && v.end == record.EndDelivered && o.Result != nil && h.finisher.offer(finished{e, o.Mark}) {
		return entry{}, nil // it is the finisher's now
	}
	// What was learned is kept, whatever has become of the caller.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	return h.conclude(ctx, e, o.Mark, v, as)
}

// report makes the calls, by the state table.
func (h *Hub) report(ctx context.Context, r *record.Record, o Outcome, as role) verdict {
	t := target(r)
	if o.Failure != nil && as != settler && as != resolver {
		// It may have been taken before, by a process that died since. Nothing
		// fences a failure: a reset revives old tokens, and the attempt that the
		// failure brought about must not be failed by it too.
		status, err := h.completer.Describe(ctx, t.ByID(), o.Mark)
		switch {
		case err != nil:
			return undelivered(err)
		case !status.Pending:
			return ended(status.End)
		case status.LastMark == o.Mark:
			return verdict{end: record.EndDelivered}
		case !attemptRuns(r, status), r.Outcome.Started != r.Started:
			return nobodyToFail
		}
	}
	err := h.completer.Complete(ctx, t, o)
	if !errors.Is(err, ErrOver) && !errors.Is(err, ErrNotStarted) {
		return undelivered(err)
	}
	// The token's attempt is over. That says nothing of the activity.
	status, err := h.completer.Describe(ctx, t.ByID(), o.Mark)
	switch {
	case err != nil:
		return undelivered(err)
	case !status.Pending:
		return ended(status.End)
	case o.Result != nil, status.Running && status.Started.Equal(t.Started):
		// A result is the activity's, whatever attempt. A failure is this
		// attempt's, which a reset has renumbered.
		return undelivered(h.completer.Complete(ctx, t.ByID(), o))
	case status.LastMark == o.Mark:
		return verdict{end: record.EndDelivered}
	default:
		return nobodyToFail
	}
}

// nobodyToFail: a failure was not taken, and the attempt that it was meant for
// doesn't run. The next one's Start delivers it.
var nobodyToFail = verdict{class: "no attempt to fail", err: ErrNotStarted}

// undelivered judges the error of a call; nil means that it was taken.
func undelivered(err error) verdict {
	v := verdict{err: err}
	switch {
	case err == nil:
		v.end = record.EndDelivered
	case errors.Is(err, ErrCallRefused), errors.Is(err, ErrCancelNotRequested):
		v.class, v.after = classRefused, refusedRetry // by any hub
	case errors.Is(err, ErrRefused):
		v.class = classRefused
	case errors.Is(err, ErrOver), errors.Is(err, ErrNotStarted):
		v.class = "no attempt" // it changed state between two calls
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		v.class = "timed out"
	default:
		v.class = "unavailable"
	}
	return v
}

// ended judges the evidence of how an activity ended.
func ended(end End) verdict {
	switch end {
	case EndOurs:
		return verdict{end: record.EndDelivered}
	case EndBuffered:
		return verdict{class: "ended, not yet in history", err: ErrOver}
	case EndTimedOut:
		return verdict{end: record.EndTimedOut}
	case EndOther:
		return verdict{end: record.EndOther}
	default:
		return verdict{end: record.EndUnknown}
	}
}

// conclude writes the verdict to the entry, as long as it is about the outcome
// and the activity that stand there: another of the same key may have taken
// both over meanwhile.
func (h *Hub) conclude(ctx context.Context, e entry, mark string, v verdict, as role) (entry, error) {
	about := e.rec
	for range maxConflicts {
		if e.rec.State != record.Settled || e.rec.Outcome.GetMark() != mark || !sameActivity(about, e.rec) {
			return e, nil
		}
		now := time.Now()
		e.rec.Delivery.Tries++
		switch v.end {
		case record.NoEnd:
			e.rec.Delivery.LastError = v.class
			after := v.after
			if after == 0 {
				after = h.retryAfter(e.rec, v)
			}
			e.rec.Delivery.Next = now.Add(jitter(after)).UnixNano()
			switch {
			case v.class == classRefused && v.after != 0:
				h.notice(e.rec, record.NoticeRefused, 0, now)
			case v.class == classRefused:
				h.reportRefusal(e.rec, now)
			}
		case record.EndDelivered:
			closed(e.rec, v.end, now)
			h.notice(e.rec, record.NoticeDelivered, v.end, now)
		default:
			h.end(&e, v.end, now)
		}
		if as == runner {
			h.holdNotices(&e, now)
		}
		e.due = h.dueAt(e.rec)
		saved, err := h.save(ctx, e)
		if err == nil && len(saved.rec.Notices) > 0 && as != runner {
			h.wakeUp()
		}
		if err == nil || !errors.Is(err, errConflict) {
			return saved, err
		}
		if e, err = h.load(ctx, e.id); err != nil {
			return entry{}, err
		}
	}
	return entry{}, errConflicts
}

// retryAfter is how long after a failed try the next one follows. Where it is
// this hub that can't deliver, another one must find the outcome due soon; and
// when the breaker closes, nothing may be in a long backoff.
func (h *Hub) retryAfter(r *record.Record, v verdict) time.Duration {
	most := lastRetry
	if errors.Is(v.err, ErrRefused) || h.health.open(r.Namespace, anAnswer) {
		most = lastRetryOpen
	}
	return doubled(firstRetry, lastRetryOf(r, most), int(r.Delivery.Tries))
}

// lastRetryOf bounds how long an outcome waits while its attempt, which nobody
// keeps alive any more, times out.
func lastRetryOf(r *record.Record, most time.Duration) time.Duration {
	if r.HeartbeatTimeout == 0 {
		return most
	}
	return min(most, max(firstRetry, time.Duration(r.HeartbeatTimeout)/3))
}

// deliverDue delivers what is settled and not claimed by another.
func (h *Hub) deliverDue(ctx context.Context, e entry) {
	now := time.Now()
	if h.completer == nil || e.rec.State != record.Settled || !isDue(fromNano(e.rec.Delivery.GetNext()), now) {
		return
	}
	h.claim(&e, now)
	if e, err := h.save(ctx, e); err == nil {
		_, _ = h.deliver(ctx, e, starter) // what the store failed to take is due again
	}
}

// claim has a settled entry to this hub while it delivers. Without a completer
// it leaves it to whoever comes first.
func (h *Hub) claim(e *entry, now time.Time) {
	if h.completer != nil {
		now = now.Add(h.claimTime)
	}
	h.unclaim(e, now)
}

// unclaim has a settled entry due at a time for every hub.
func (h *Hub) unclaim(e *entry, now time.Time) {
	e.rec.Delivery.Next = now.UnixNano()
	e.due = h.dueAt(e.rec)
}
