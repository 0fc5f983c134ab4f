package async

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// beaten carries out the pump's decision and records the result.
func (b *beater) beaten(ctx context.Context, e entry, said answer, pumpErr error) (entry, following) {
	did := lifecycle.Beat{At: time.Now().UnixNano()}
	switch {
	case said.dead != nil:
		b.jobDead(ctx, e, said.dead)
		return e, nothingNext
	case pumpErr != nil:
		b.beatFailed(ctx, e, "the pump doesn't know how the job is", pumpErr)
		did.Result = lifecycle.BeatFailed
	case said.skip:
		did.Result = lifecycle.BeatSkipped
	default:
		if said.details != nil || said.unsent != nil { // the application code that the pump called may have answered the activity
			fresh, waits := b.stillWaits(ctx, e)
			if !waits {
				return e, nothingNext
			}
			e = fresh
		}
		call, seen := b.lookout.observe(ctx, OpBeat, e.rec.Pump, e)
		due := lifecycle.BeatAt(e.rec)
		did = b.send(call, e, said, did)
		seen.end(Done{Class: beatClass(did), Lag: lag(due, fromNano(did.At))})
	}
	wrap := withTimeout(context.WithoutCancel(ctx), wrapUp)
	defer wrap.end()
	saved, err := b.record(wrap, e, did)
	saved, next, err := thenHooks(saved, err)
	if err != nil && !errors.Is(err, errConflict) {
		b.troubles.storeFailed(ctx, e.id, err)
	}
	return saved, next
}

// stillWaits reads an entry again after its pump was asked, and reports whether
// the activity still needs a heartbeat.
func (b *beater) stillWaits(ctx context.Context, e entry) (entry, bool) {
	fresh, err := b.entries.load(ctx, e.id)
	return fresh, err == nil && lifecycle.StillBeats(fresh.rec, e.rec)
}

// beatFailed logs that a beat was not sent.
func (b *beater) beatFailed(ctx context.Context, e entry, what string, err error) {
	b.troubles.beat.happened(ctx, append(fields(e.id, e.rec, OpBeat, classFailed, err), slog.String("why", what), slog.Int("tries", int(e.rec.BeatTries)+1))...)
}

// send sends a heartbeat with the pump's details. If the pump gave none, send
// uses the newest known details. did is the state of the heartbeat so far.
func (b *beater) send(ctx context.Context, e entry, said answer, did lifecycle.Beat) lifecycle.Beat {
	r := e.rec
	did.Details = r.Details
	if lifecycle.NeedsDetails(r) {
		status, err := b.describe(ctx, r, "")
		if err != nil {
			return b.callFailed(ctx, e, did, err)
		}
		word := wordOf(status)
		if !word.Runs(r) {
			return did.NotTaken(r, word)
		}
		if lifecycle.ServersAreNewer(r, word) {
			if theirs, err := proto.Marshal(status.Details); err == nil {
				did.Details = theirs
			}
		}
		did.Read = true
	}
	switch {
	case said.unsent != nil:
		b.beatFailed(ctx, e, "the pump's details can't be sent, and those before are sent again", said.unsent)
	case said.details != nil:
		did.Details = said.details
	}
	details, err := payloadsOf(did.Details)
	if err != nil {
		b.log.ErrorContext(ctx, "async: heartbeat details can't be read", anys(fields(e.id, e.rec, OpBeat, classFailed, err))...)
	}
	did.Digest = digestOf(details)
	signals, err := b.completer.Heartbeat(ctx, target(r), details)
	switch {
	case err == nil:
		did.Signals, did.Heard = lifecycle.Signals(signals), true
		return did
	case !errors.Is(err, completer.ErrOver) && !errors.Is(err, completer.ErrNotStarted):
		return b.callFailed(ctx, e, did, err)
	}
	status, err := b.describe(ctx, r, "")
	if err != nil {
		return b.callFailed(ctx, e, did, err)
	}
	return did.NotTaken(r, wordOf(status))
}

func (b *beater) callFailed(ctx context.Context, e entry, did lifecycle.Beat, err error) lifecycle.Beat {
	b.beatFailed(ctx, e, "Temporal can't be reached, or refuses it", err)
	did.Result = lifecycle.BeatFailed
	return did
}

// record records the result of a heartbeat if the attempt is still the same and
// has no outcome.
func (b *beater) record(ctx context.Context, e entry, did lifecycle.Beat) (entry, error) {
	about, said := e.rec, e.rec.Details
	return b.entries.update(ctx, e, func(e entry) (entry, bool, error) {
		if !lifecycle.BeatConcerns(e.rec, about) {
			return e, false, errConflict
		}
		now := time.Now()
		p := b.rules.at(now)
		switch p.Beaten(e.rec, said, did) {
		case lifecycle.RetryBeat:
			b.retry(e.rec, now)
		case lifecycle.AskPumpLater:
			b.schedule(e, now)
			lifecycle.DelayBeat(e.rec, now)
		case lifecycle.AskPump:
			b.schedule(e, now)
		}
		p.PlanQuestion(e.rec)
		e.held = p.HoldNotices(e.rec)
		return e, true, nil
	})
}

// jobDead fails the attempt about which the pump was asked.
func (b *beater) jobDead(ctx context.Context, e entry, why error) {
	log := b.log.With(anys(fields(e.id, e.rec, OpBeat, "", nil))...)
	enc, err := b.encoder.in(ctx)
	var o offer
	if err == nil {
		o, err = enc.failed(temporal.NewApplicationError(why.Error(), heartbeat.JobDead), true)
	}
	if err == nil {
		o.attempt, o.inSlot = e.rec.Started, true
		err = b.deliverer.settle(ctx, handle{id: new(e.callbackID()), entry: e}, o)
	}
	switch {
	case err == nil:
		log.DebugContext(ctx, "async: the pump says that the job is dead: the attempt fails", slog.String("pump", e.rec.Pump))
	case errors.Is(err, ErrSettled), errors.Is(err, ErrSuperseded), errors.Is(err, ErrClosed):
		log.DebugContext(ctx, "async: the pump says that the job is dead, too late")
	default:
		log.WarnContext(ctx, "async: the pump says that the job is dead, which can't be settled now; it is asked again", slog.Any("error", err))
	}
}
