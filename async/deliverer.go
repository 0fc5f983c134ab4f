package async

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// deliverer accepts outcomes and reports them to Temporal.
type deliverer struct {
	describer // the completer is nil for a hub that only settles
	entries   *entries
	rules     *rules
	health    *health
	backlog   *backlog
	courier   *courier
	recorder  *recorder
	wheel     *wheel
	troubles  *troubles
	log       *slog.Logger
	lookout   *lookout
}

// verdict is the result of one try to deliver an outcome, with the error of the
// last call.
type verdict struct {
	lifecycle.Verdict
	err error
}

// role says which kind of call delivers.
type role int

const (
	// bySettler is the call that has just accepted the outcome. The outcome
	// cannot have been sent before.
	bySettler role = iota
	// byResolver is the Start of a later attempt. byResolver has learned from
	// Temporal that the failure is for this attempt, so the failure cannot have
	// been sent to it before.
	byResolver
	// byStarter is any other Start.
	byStarter
	// byRunner is a running hub, which calls the hooks itself.
	byRunner
)

// deliver tries to report the settled outcome of an entry that this caller has
// claimed, and records the result. An outcome reaches Temporal only through the
// completer; it never returns to the worker.
//
// The returned error is only an error of the store. Temporal's answer is in the
// entry. A settler gets the zero entry if a result is delivered and the
// recorder records the delivery.
func (d *deliverer) deliver(ctx context.Context, e entry, as role) (entry, error) {
	if d.completer == nil {
		return e, nil
	}
	o, err := outcome(e.rec)
	if err != nil {
		d.troubles.unreadable.happened(ctx, append(fields(e.id, e.rec, OpDeliver, "unreadable", err), slog.String("what", "its outcome"))...)
		return e, err
	}
	call, seen := d.lookout.observe(ctx, OpDeliver, kindName(e.rec.Outcome.GetKind()), e)
	e, v := d.attempt(call, e, o, as)
	seen.delivery(e, v)
	d.logVerdict(ctx, e, o, v)
	if as == bySettler && v.End == record.EndDelivered && o.Result != nil && d.recorder.offer(delivery{e, o.Mark}) {
		return entry{}, nil // the recorder records the delivery
	}
	// The result is recorded even if the caller's context has ended.
	wrap := withTimeout(context.WithoutCancel(ctx), wrapUp)
	defer wrap.end()
	return d.conclude(wrap, e, o.Mark, v, as)
}

// attempt makes the calls: it sends pending heartbeat details, and then reports
// the outcome.
func (d *deliverer) attempt(ctx context.Context, e entry, o completer.Outcome, as role) (entry, verdict) {
	ctx, cancel := d.withinClaim(ctx)
	defer cancel()
	if lifecycle.DetailsPending(e.rec) {
		early, stop := context.WithTimeout(ctx, (d.claimTime-callMargin)/3)
		err := d.passOn(early, e.rec, as)
		stop()
		if err != nil && e.rec.Delivery.GetTries() == 0 {
			return e, undelivered(err) // only the first try needs the details to be sent
		}
	}
	begun := time.Now()
	e, v := d.report(ctx, e, o, as)
	if hasAnswered(v.err) { // also true after a question to Temporal without a delivery
		d.health.close(way{e.rec.Namespace, anAnswer}, begun, time.Now())
	}
	return e, v
}

func (d *deliverer) logVerdict(ctx context.Context, e entry, o completer.Outcome, v verdict) {
	about := func(class string) []slog.Attr {
		return append(fields(e.id, e.rec, OpDeliver, class, v.err), slog.String("outcome", o.String()))
	}
	switch {
	case v.End == record.EndDelivered:
		if d.log.Enabled(ctx, slog.LevelDebug) {
			d.log.LogAttrs(ctx, slog.LevelDebug, "async: delivered", about(ClassDelivered)...)
		}
	case v.End != record.NoEnd:
		d.troubles.lost.happened(ctx, append(about(endClass(v.End)), slog.Any("reason", endError(v.End)))...)
	case errors.Is(v.err, completer.ErrOver), errors.Is(v.err, completer.ErrNotStarted):
		// Temporal works. The activity is between two attempts, or is about to
		// end.
		d.log.LogAttrs(ctx, slog.LevelDebug, "async: the activity cannot take its answer yet, and the hub retries", about(v.Class)...)
	default:
		d.troubles.undelivered.happened(ctx, about(v.Class)...)
	}
}

// report makes the calls according to the state table. report returns the entry
// as it has written it.
func (d *deliverer) report(ctx context.Context, e entry, o completer.Outcome, as role) (entry, verdict) {
	r := e.rec
	if o.Failure != nil && as != bySettler && as != byResolver {
		// A process that has died in the meantime may have delivered the
		// outcome.
		word, err := d.word(ctx, r, o.Mark)
		if err != nil {
			return e, undelivered(err)
		}
		if v, send := lifecycle.BeforeFailing(r, *word); !send {
			return e, verdict{v, completer.ErrNotStarted}
		}
	}
	t := target(r)
	err := completer.ErrNotStarted // the best answer without a token
	if len(t.TaskToken) > 0 {
		err = d.completer.Complete(ctx, t, o)
	}
	if !errors.Is(err, completer.ErrOver) && !errors.Is(err, completer.ErrNotStarted) {
		return e, undelivered(err)
	}
	word, err := d.word(ctx, r, o.Mark)
	if err != nil {
		return e, undelivered(err)
	}
	v, byID := lifecycle.AfterNotFound(r, *word)
	if !byID {
		return e, verdict{v, completer.ErrOver}
	}
	if o.Failure != nil && lifecycle.Outrun(r) {
		// A reset has renumbered the attempt. The number of an attempt no
		// longer shows which attempt follows.
		e.until = e.due
		saved, err := d.entries.save(ctx, e)
		if err != nil {
			return e, undelivered(err)
		}
		e = saved
	}
	return e, undelivered(d.completer.Complete(ctx, t.ByID(), o))
}

// undelivered judges the error of a call; a nil error means that Temporal
// accepted the outcome.
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
		v.Class = "no attempt" // the activity changed its state between two calls
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		v.Class = "timed out"
	default:
		v.Class = "unavailable"
	}
	return v
}

// conclude writes the verdict to the entry if the entry still has the same
// outcome and activity. Another activity with the same business key may have
// replaced both in the meantime.
func (d *deliverer) conclude(ctx context.Context, e entry, mark string, v verdict, as role) (entry, error) {
	about := e.rec
	unnotified := false
	saved, err := d.entries.update(ctx, e, func(e entry) (entry, bool, error) {
		if unnotified = false; !lifecycle.Concerns(e.rec, about, mark) {
			return e, false, nil
		}
		now := time.Now()
		p, v := d.rules.forAnswer(e.rec.Namespace, now), v.Verdict
		v.OfHub = v.OfHub || d.health.open(e.rec.Namespace, anAnswer)
		p.Conclude(e.rec, v)
		if as == byRunner {
			e.held = p.HoldNotices(e.rec)
		} else {
			unnotified = len(e.rec.Notices) > 0
		}
		return e, true, nil
	})
	if err == nil && unnotified {
		d.wheel.wake()
	}
	return saved, err
}

// deliverDue delivers outcomes that are settled and that no other hub has
// claimed.
func (d *deliverer) deliverDue(ctx context.Context, e entry) {
	now := time.Now()
	if d.completer == nil || e.rec.State != record.Settled || !lifecycle.IsDue(fromNano(e.rec.Delivery.GetNext()), now) {
		return
	}
	d.rules.at(now).Claim(e.rec)
	if e, err := d.entries.save(ctx, e); err == nil {
		_, _ = d.deliver(ctx, e, byStarter) // if the store did not accept the write, the entry is due again
	}
}

// record records that an outcome was delivered.
func (d *deliverer) record(ctx context.Context, done delivery) {
	_, err := d.conclude(ctx, done.entry, done.mark, undelivered(nil), bySettler)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		d.troubles.storeFailed(ctx, done.entry.id, err) // another hub learns of the delivery when the claim expires
	}
}
