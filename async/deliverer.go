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

// deliverer accepts outcomes, and reports them to Temporal.
type deliverer struct {
	describer // its completer is nil for a hub that settles only
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

// verdict is what is known after a try to deliver, and the error of the last
// call.
type verdict struct {
	lifecycle.Verdict
	err error
}

// role is who delivers.
type role int

const (
	// bySettler is the call that has just accepted the outcome: it can't have been
	// sent before.
	bySettler role = iota
	// byResolver is a later attempt's Start, which has learned from Temporal that
	// the failure is for this attempt: it can't have been sent to it before.
	byResolver
	// byStarter is any other Start.
	byStarter
	// byRunner is a hub that runs, which calls the hooks itself.
	byRunner
)

// deliver tries to report the settled outcome of an entry that this caller has
// claimed, and records what came of it. An outcome reaches Temporal only through
// the completer: it never returns to the worker.
//
// The error is only that of the store: what Temporal answers is in the entry. A
// settler gets the zero entry if a result is delivered and the recorder writes
// that down.
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
		return entry{}, nil // it is the recorder's now
	}
	// What was learned is kept, whatever has become of the caller.
	wrap := withTimeout(context.WithoutCancel(ctx), wrapUp)
	defer wrap.end()
	return d.conclude(wrap, e, o.Mark, v, as)
}

// attempt makes the calls: it sends heartbeat details that are still pending, and
// then reports the outcome.
func (d *deliverer) attempt(ctx context.Context, e entry, o completer.Outcome, as role) (entry, verdict) {
	ctx, cancel := d.withinClaim(ctx)
	defer cancel()
	if lifecycle.DetailsPending(e.rec) {
		early, stop := context.WithTimeout(ctx, (d.claimTime-callMargin)/3)
		err := d.passOn(early, e.rec, as)
		stop()
		if err != nil && e.rec.Delivery.GetTries() == 0 {
			return e, undelivered(err) // once: an outcome doesn't hang on its details
		}
	}
	begun := time.Now()
	e, v := d.report(ctx, e, o, as)
	if hasAnswered(v.err) { // also if there was only a question to ask
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
		// Temporal works, and the activity is between two attempts or about to end.
		d.log.LogAttrs(ctx, slog.LevelDebug, "async: the activity cannot take its answer yet, and the hub retries", about(v.Class)...)
	default:
		d.troubles.undelivered.happened(ctx, about(v.Class)...)
	}
}

// report makes the calls, by the state table. It returns the entry as it has
// written it.
func (d *deliverer) report(ctx context.Context, e entry, o completer.Outcome, as role) (entry, verdict) {
	r := e.rec
	if o.Failure != nil && as != bySettler && as != byResolver {
		// It may have been taken before, by a process that died since.
		word, err := d.word(ctx, r, o.Mark)
		if err != nil {
			return e, undelivered(err)
		}
		if v, send := lifecycle.BeforeFailing(r, *word); !send {
			return e, verdict{v, completer.ErrNotStarted}
		}
	}
	t := target(r)
	err := completer.ErrNotStarted // as far as can be known without a token
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
		// A reset has renumbered the attempt. No number tells which one follows it.
		e.until = e.due
		saved, err := d.entries.save(ctx, e)
		if err != nil {
			return e, undelivered(err)
		}
		e = saved
	}
	return e, undelivered(d.completer.Complete(ctx, t.ByID(), o))
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

// deliverDue delivers what is settled and not claimed by another.
func (d *deliverer) deliverDue(ctx context.Context, e entry) {
	now := time.Now()
	if d.completer == nil || e.rec.State != record.Settled || !lifecycle.IsDue(fromNano(e.rec.Delivery.GetNext()), now) {
		return
	}
	d.rules.at(now).Claim(e.rec)
	if e, err := d.entries.save(ctx, e); err == nil {
		_, _ = d.deliver(ctx, e, byStarter) // what the store failed to take is due again
	}
}

// record records that an outcome was delivered.
func (d *deliverer) record(ctx context.Context, done delivery) {
	_, err := d.conclude(ctx, done.entry, done.mark, undelivered(nil), bySettler)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		d.troubles.storeFailed(ctx, done.entry.id, err) // another hub learns of the delivery when its claim lapses
	}
}
