package async

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// beater sends the heartbeats of waiting activities when their pumps say so.
type beater struct {
	describer
	pumps        map[string]heartbeat.Pump
	encoder      encoder
	entries      *entries
	rules        *rules
	health       *health
	wheel        *wheel
	deliverer    *deliverer // fails the attempts of dead jobs
	troubles     *troubles
	log          *slog.Logger
	pollInterval time.Duration
	strange      *strange // records whether the hub meets pumps that it does not know
	asking       sync.Map // the IDs of entries whose pump is being asked
	lookout      *lookout
}

// begin schedules the first beat at the end of the hand-off. After the
// hand-off, the pump instead of the worker decides when to beat. heard is when
// Temporal last heard of the attempt.
func (b *beater) begin(e entry, heard, now time.Time) {
	lifecycle.BeginBeats(e.rec, heard)
	b.schedule(e, now)
}

// begun returns when Temporal first heard of the attempt, by the slower of two
// clocks. A beat that is too early costs a call; a beat that is too late costs
// the attempt.
func begun(r *record.Record, now time.Time) time.Time {
	if started := fromNano(r.Started); started.Before(now) {
		return started
	}
	return now
}

// schedule asks the pump for the time of the next beat, and makes the beat due
// at that time. If this hub does not know the pump, the beat is due at once, for
// another hub.
func (b *beater) schedule(e entry, now time.Time) {
	next, known := b.next(e, now)
	if !known {
		next = now
	}
	e.rec.NextBeat = toNano(next)
	b.wheel.note(next, now)
}

// next asks the pump for the time of the next beat.
func (b *beater) next(e entry, now time.Time) (at time.Time, known bool) {
	pump, known := b.pumps[e.rec.Pump]
	if !known {
		return time.Time{}, false
	}
	at, err := guarded("the pump's Next", func() (time.Time, error) { return pump.Next(activityOf(e), now), nil })
	if err != nil {
		b.log.Error("async: a pump's Next panicked", anys(append(fields(e.id, e.rec, OpBeat, classPanicked, err), slog.String("pump", e.rec.Pump), slog.Any("error", err)))...)
		at = now.Add(lifecycle.LastBeatRetry)
	}
	return at, true
}

// retry schedules another try of a beat that failed.
func (b *beater) retry(r *record.Record, now time.Time) {
	if b.health.open(r.Namespace, aBeat) {
		lifecycle.BeatNow(r, now)
		return
	}
	lifecycle.BeatAgain(r, now, jitter)
	b.wheel.note(fromNano(r.NextBeat), now)
}

// step handles an entry whose beat is due. step asks the pump, if the beat is
// still due after a new look at the entry.
func (b *beater) step(ctx context.Context, e entry, now time.Time) (entry, following, error) {
	at, known := b.next(e, now)
	switch {
	case !known && len(e.rec.Notices) > 0 && lifecycle.IsDue(fromNano(e.rec.NextNotice), now):
		return thenHooks(saveHeld(ctx, b.entries, b.rules, e, now))
	case !known:
		b.unknownPump(ctx, e)
		e.until = now.Add(jitter(lifecycle.LeaveBeat(e.rec, 2*b.pollInterval/busyPoll, now)))
		for _, other := range []time.Time{lifecycle.QuestionAt(e.rec), fromNano(e.rec.NextNotice)} {
			if other.After(now) && other.Before(e.until) {
				e.until = other
			}
		}
	case e.rec.BeatTries == 0 && (at.IsZero() || !lifecycle.IsDue(at, now)):
		e.rec.NextBeat = toNano(at)
	default:
		return e, pumpNext, nil
	}
	e, err := b.entries.save(ctx, e)
	return e, nothingNext, err
}

func (b *beater) unknownPump(ctx context.Context, e entry) {
	b.strange.met(time.Now())
	b.troubles.pump.happened(ctx, append(fields(e.id, e.rec, OpBeat, ClassUnknownPump, nil), slog.String("pump", e.rec.Pump))...)
}
