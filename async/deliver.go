package async

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// verdict is what is known after a try to deliver, and the error of the last
// call.
type verdict struct {
	lifecycle.Verdict
	err error
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
		begun := time.Now()
		e, v = h.report(call, e, o, as)
		if hasAnswered(v.err) { // also where there was only a question to ask
			h.health.close(way{e.rec.Namespace, anAnswer}, begun, time.Now())
		}
	}
	cancel()

	about := append(aboutEntry(e.id, v.err), slog.String("outcome", o.String()))
	switch {
	case v.End == record.EndDelivered:
		h.log.LogAttrs(ctx, slog.LevelDebug, "async: delivered", about...)
	case v.End != record.NoEnd:
		h.troubles.lost.happened(ctx, append(about, slog.Any("reason", endError(v.End)))...)
	default:
		h.troubles.undelivered.happened(ctx, append(about, slog.String("class", v.Class))...)
	}
	if as == settler && v.End == record.EndDelivered && o.Result != nil && h.finisher.offer(finished{e, o.Mark}) {
		return entry{}, nil // it is the finisher's now
	}
	// What was learned is kept, whatever has become of the caller.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	return h.conclude(ctx, e, o.Mark, v, as)
}

// report makes the calls, by the state table. It returns the entry as it has
// written it.
func (h *Hub) report(ctx context.Context, e entry, o completer.Outcome, as role) (entry, verdict) {
	r := e.rec
	if o.Failure != nil && as != settler && as != resolver {
		// It may have been taken before, by a process that died since.
		word, err := h.word(ctx, r, o.Mark)
		if err != nil {
			return e, undelivered(err)
		}
		if v, send := lifecycle.BeforeFailing(r, *word); !send {
			return e, verdict{v, completer.ErrNotStarted}
		}
	}
	t := target(r)
	err := h.completer.Complete(ctx, t, o)
	if !errors.Is(err, completer.ErrOver) && !errors.Is(err, completer.ErrNotStarted) {
		return e, undelivered(err)
	}
	word, err := h.word(ctx, r, o.Mark)
	if err != nil {
		return e, undelivered(err)
	}
	v, byID := lifecycle.AfterNotFound(r, *word)
	if !byID {
		return e, verdict{v, completer.ErrOver}
	}
	if o.Failure != nil && lifecycle.Outrun(r) {
		// A reset has renumbered the attempt. No number tells which one follows it.
		e.until = e.due
		saved, err := h.save(ctx, e)
		if err != nil {
			return e, undelivered(err)
		}
		e = saved
	}
	return e, undelivered(h.completer.Complete(ctx, t.ByID(), o))
}

// undelivered judges the error of a call; nil means that it was taken.
func undelivered(err error) verdict {
	v := verdict{err: err}
	switch {
	case err == nil:
		v.Verdict = lifecycle.Delivered
	case errors.Is(err, completer.ErrCallRefused), errors.Is(err, completer.ErrCancelNotRequested):
		v.Class, v.After = lifecycle.ClassRefused, lifecycle.RefusedDelivery // by any hub
	case errors.Is(err, completer.ErrRefused):
		v.Class, v.OfHub = lifecycle.ClassRefused, true
	case errors.Is(err, completer.ErrOver), errors.Is(err, completer.ErrNotStarted):
		v.Class = "no attempt" // it changed state between two calls
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		v.Class = "timed out"
	default:
		v.Class = "unavailable"
	}
	return v
}

// conclude writes the verdict to the entry, as long as it is about the outcome
// and the activity that stand there: another of the same key may have taken
// both over meanwhile.
func (h *Hub) conclude(ctx context.Context, e entry, mark string, v verdict, as role) (entry, error) {
	about := e.rec
	untold := false
	saved, err := h.update(ctx, e, func(e entry) (entry, bool, error) {
		if untold = false; !lifecycle.Concerns(e.rec, about, mark) {
			return e, false, nil
		}
		now := time.Now()
		p, v := h.deliveryPolicy(e.rec.Namespace, now), v.Verdict
		v.OfHub = v.OfHub || h.health.open(e.rec.Namespace, anAnswer)
		p.Conclude(e.rec, v)
		if as == runner {
			e.held = p.HoldNotices(e.rec)
		} else {
			untold = len(e.rec.Notices) > 0
		}
		return e, true, nil
	})
	if err == nil && untold {
		h.wakeUp()
	}
	return saved, err
}

// deliverDue delivers what is settled and not claimed by another.
func (h *Hub) deliverDue(ctx context.Context, e entry) {
	now := time.Now()
	if h.completer == nil || e.rec.State != record.Settled || !lifecycle.IsDue(fromNano(e.rec.Delivery.GetNext()), now) {
		return
	}
	h.policy(now).Claim(e.rec)
	if e, err := h.save(ctx, e); err == nil {
		_, _ = h.deliver(ctx, e, starter) // what the store failed to take is due again
	}
}

// unclaim has a settled entry due at a time for every hub.
func (h *Hub) unclaim(e *entry, now time.Time) { e.rec.Delivery.Next = now.UnixNano() }
