package async

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// beaten does what the pump said, and writes down what came of it.
func (b *beater) beaten(ctx context.Context, e entry, said answer, pumpErr error) (entry, following) {
	now := time.Now()
	did := beat{at: now}
	switch {
	case said.dead != nil:
		b.jobDead(ctx, e, said.dead)
		return e, nothingNext
	case pumpErr != nil:
		b.beatFailed(ctx, e, "the pump doesn't know how the job is", pumpErr)
		did.failed = true
	case said.skip:
		did.skipped = true
	default:
		if said.details != nil || said.unsent != nil { // whoever looked may have answered as well
			fresh, waits := b.stillWaits(ctx, e)
			if !waits {
				return e, nothingNext
			}
			e = fresh
		}
		did = b.send(ctx, e, said, now)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	saved, err := b.record(ctx, e, did)
	saved, next, err := told(saved, err)
	if err != nil && !errors.Is(err, errConflict) {
		b.troubles.storeFailed(ctx, e.id, err)
	}
	return saved, next
}

// stillWaits reads an entry again whose pump has been asked, and reports whether
// there is still something to beat for.
func (b *beater) stillWaits(ctx context.Context, e entry) (entry, bool) {
	fresh, err := b.entries.load(ctx, e.id)
	return fresh, err == nil && fresh.rec.State == record.Waiting && fresh.rec.Started == e.rec.Started &&
		fresh.rec.TokenLostStarted != fresh.rec.Started // another hub has learned that the attempt is over
}

// beatFailed says so, but not for each of thousands.
func (b *beater) beatFailed(ctx context.Context, e entry, what string, err error) {
	b.troubles.beat.happened(ctx, append(aboutEntry(e.id, err), slog.String("why", what), slog.Int("tries", int(e.rec.BeatTries)+1))...)
}

// beat is what came of one.
type beat struct {
	at      time.Time
	failed  bool // it comes again soon
	skipped bool
	lost    bool // Temporal no longer takes the token, though the activity is pending
	over    record.End
	adopted bool
	details []byte // that stand at the server; nil: not known
	known   []byte // their digest
	signals completer.Signals
	asked   bool // signals and details are known
}

// beat sends one, with what was told last unless there is something newer.
func (b *beater) send(ctx context.Context, e entry, said answer, now time.Time) beat {
	r := e.rec
	did := beat{at: now, details: r.Details}
	if r.DetailsReadStarted != r.Started {
		// The function may have recorded details, and so may an earlier attempt.
		status, err := b.describe(ctx, r, "")
		switch {
		case err != nil:
			b.callFailed(ctx, e, err)
			did.failed = true
			return did
		case !attemptRuns(r, status):
			return did.without(r, status)
		case recordedByOthers(r, status):
			if theirs, err := proto.Marshal(status.Details); err == nil {
				did.details = theirs
			}
		}
		did.adopted = true
	}
	switch {
	case said.unsent != nil:
		b.beatFailed(ctx, e, "the pump's details can't be sent, and those before are sent again", said.unsent)
	case said.details != nil:
		did.details = said.details
	}
	details, err := payloadsOf(did.details)
	if err != nil {
		b.log.ErrorContext(ctx, "async: heartbeat details can't be read", slog.String("callback", shortID(e.id)))
	}
	did.known = digestOf(details)
	signals, err := b.completer.Heartbeat(ctx, target(r), details)
	switch {
	case err == nil:
		did.signals, did.asked = signals, true
		return did
	case !errors.Is(err, completer.ErrOver) && !errors.Is(err, completer.ErrNotStarted):
		b.callFailed(ctx, e, err)
		did.failed = true
		return did
	}
	status, err := b.describe(ctx, r, "")
	if err != nil {
		b.callFailed(ctx, e, err)
		did.failed = true
		return did
	}
	return did.without(r, status)
}

// without is what follows where a beat isn't taken, or wouldn't be.
func (did beat) without(r *record.Record, status completer.Status) beat {
	did.details = r.Details // nothing was sent
	switch {
	case !status.Pending && status.End == completer.EndBuffered:
		did.failed = true
	case !status.Pending:
		did.over = wordOf(status).EndOfOther()
	default:
		did.lost, did.asked, did.signals = true, true, completer.Signals(wordOf(status).Signals(r))
		// Renumbered, its token is no longer known.
		did.signals.Reset = did.signals.Reset || status.Running && status.Started.Equal(fromNano(r.Started))
	}
	return did
}

func (b *beater) callFailed(ctx context.Context, e entry, err error) {
	b.beatFailed(ctx, e, "Temporal can't be reached, or refuses it", err)
}

// record writes what came of a beat to the entry, as long as the attempt is the
// same and has no outcome.
func (b *beater) record(ctx context.Context, e entry, did beat) (entry, error) {
	before := e.rec
	started, said := before.Started, before.Details
	return b.entries.update(ctx, e, func(e entry) (entry, bool, error) {
		r := e.rec
		if r.State != record.Waiting || r.Started != started || r.HandedOffStarted != started || !lifecycle.SameActivity(before, r) {
			return e, false, errConflict // it is no longer about this
		}
		now := time.Now()
		if did.adopted && !did.failed { // else they are to be read again
			r.DetailsReadStarted = started
		}
		if did.asked {
			b.rules.at(now).Signalled(r, lifecycle.Signals(did.signals))
		}
		switch {
		case did.over != record.NoEnd:
			b.rules.at(now).Close(r, did.over)
		case did.lost:
			r.TokenLostStarted, r.NextBeat = started, 0
		case did.failed:
			b.again(r, now)
		case did.skipped:
			b.schedule(e, now)
			r.BeatTries = 0
			if floor := now.Add(lifecycle.FirstBeatRetry).UnixNano(); r.NextBeat != 0 && r.NextBeat < floor {
				r.NextBeat = floor
			}
		default:
			r.LastBeat, r.BeatTries, r.ServerDetailsDigest = did.at.UnixNano(), 0, did.known
			if bytes.Equal(r.Details, said) {
				r.Details, r.BeatPendingSince, r.DetailsPendingSince = did.details, 0, 0
			} else if r.DetailsPendingSince == 0 {
				// Something newer was brought meanwhile, and another has sent it: before
				// this one, maybe, which then stands at the server.
				r.BeatPendingSince, r.DetailsPendingSince = now.UnixNano(), now.UnixNano()
			} // else it is sent next
			b.schedule(e, now)
		}
		b.rules.at(now).PlanQuestion(r)
		e.held = b.rules.at(now).HoldNotices(r)
		return e, true, nil
	})
}

// jobDead fails the attempt that the pump was asked about.
func (b *beater) jobDead(ctx context.Context, e entry, why error) {
	log := b.log.With(slog.String("callback", shortID(e.id)))
	enc, err := b.encoder.in(ctx)
	var o offer
	if err == nil {
		o, err = enc.failed(temporal.NewApplicationError(why.Error(), heartbeat.JobDead), true)
	}
	if err == nil {
		o.attempt, o.inSlot = e.rec.Started, true
		err = b.deliverer.settle(ctx, handle{id: new(callbackID(e.id, e.rec.Secret)), entry: e}, o)
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
