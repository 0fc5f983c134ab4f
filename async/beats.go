package async

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// activityOf is what a pump gets to know.
func activityOf(e entry) heartbeat.Activity {
	r := e.rec
	return heartbeat.Activity{
		ID: callbackID(e.id, r.Secret), Type: r.ActivityType, WorkflowID: r.WorkflowId,
		Reference: r.Reference, Labels: maps.Clone(r.Labels), Attempt: r.Attempt,
		Timeout: time.Duration(r.HeartbeatTimeout), Deadline: fromNano(r.Deadline),
		LastBeat: fromNano(r.LastBeat), Relayed: fromNano(r.BeatPendingSince),
	}
}

// startBeats is the end of the hand-off: from here on the pump keeps alive what
// the worker kept alive before. heard is when the server last heard of the
// attempt.
func (h *Hub) startBeats(e entry, heard, now time.Time) {
	e.rec.LastBeat, e.rec.BeatTries = heard.UnixNano(), 0
	h.scheduleBeat(e, now)
}

// begun is when the server first heard of the attempt, by the slower of two
// clocks: a beat too early costs a call, one too late the attempt.
func begun(r *record.Record, now time.Time) time.Time {
	if started := fromNano(r.Started); started.Before(now) {
		return started
	}
	return now
}

// scheduleBeat has the next beat due as its pump says. A pump that this hub
// doesn't know is for another hub to ask, at once.
func (h *Hub) scheduleBeat(e entry, now time.Time) {
	next, known := h.nextBeat(e, now)
	if !known {
		next = now
	}
	e.rec.NextBeat = toNano(next)
	h.soon.note(next, now)
}

// nextBeat asks the pump when it wants to beat.
func (h *Hub) nextBeat(e entry, now time.Time) (at time.Time, known bool) {
	pump, known := h.pumps[e.rec.Pump]
	if !known {
		return time.Time{}, false
	}
	at, err := guarded("the pump's Next", func() (time.Time, error) { return pump.Next(activityOf(e), now), nil })
	if err != nil {
		h.log.Error("async: a pump's Next panicked", slog.String("pump", e.rec.Pump), slog.String("callback", shortID(e.id)), slog.Any("error", err))
		at = now.Add(lifecycle.LastBeatRetry)
	}
	return at, true
}

// again has a beat that wasn't sent come soon, and leaves time for one more
// after it.
func (h *Hub) again(r *record.Record, now time.Time) {
	if h.health.open(r.Namespace, aBeat) {
		r.NextBeat = now.UnixNano() // another hub may do better, at once
		return
	}
	r.BeatTries++
	next := now.Add(jitter(lifecycle.BeatRetry(r)))
	r.NextBeat = next.UnixNano()
	h.soon.note(next, now)
}

// stepBeat has the pump asked, if it still says that it is time.
func (h *Hub) stepBeat(ctx context.Context, e entry, now time.Time) (entry, following, error) {
	at, known := h.nextBeat(e, now)
	switch {
	case !known && len(e.rec.Notices) > 0 && lifecycle.IsDue(fromNano(e.rec.NextNotice), now):
		return told(h.saveHeld(ctx, e, now))
	case !known:
		h.unknownPump(ctx, e)
		e.until = now.Add(jitter(h.leaveTo(e, now)))
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
	e, err := h.save(ctx, e)
	return e, nothingNext, err
}

// leaveTo is for how long a beat is left to the hubs that know its pump: at
// first shortly, so that they have time left, but, where that is short, between
// the next two looks of this one, which would take it away each time. Where none
// has come so far, for as long again: if none ever does, it mustn't keep the
// store busy. It isn't counted as a try to beat: the pump has not been asked yet.
func (h *Hub) leaveTo(e entry, now time.Time) time.Duration {
	least := 2 * h.pollInterval / busyPoll
	first, last := least, max(least, lifecycle.LastBeatRetry)
	if timeout := time.Duration(e.rec.HeartbeatTimeout); timeout > 0 && now.Before(lifecycle.Lapses(e.rec)) {
		first, last = max(least, timeout/300), max(least, min(timeout/60, lifecycle.LastBeatRetry))
	}
	return min(max(first, now.Sub(fromNano(e.rec.NextBeat))), last)
}

func (h *Hub) unknownPump(ctx context.Context, e entry) {
	h.strange.met(time.Now())
	h.troubles.pump.happened(ctx, slog.String("pump", e.rec.Pump), slog.String("callback", shortID(e.id)))
}

// atOnce reports whether the entry's pump asks nobody.
func (h *Hub) atOnce(e entry) bool {
	p, may := h.pumps[e.rec.Pump].(heartbeat.Asker)
	if !may {
		return false
	}
	asks, err := guarded("the pump's Asks", func() (bool, error) { return p.Asks(), nil })
	return err == nil && !asks
}

// answer is what a pump has said, with the details as they are sent.
type answer struct {
	skip    bool
	details []byte // encoded; nil: none
	unsent  error  // why the pump's details can't be encoded
	dead    error  // why the job is dead
}

// consult asks the pump. The details are encoded here, with the context that the
// pump had, and in the goroutine that is given up where the application hangs.
func (h *Hub) consult(ctx context.Context, e entry) (answer, error) {
	b, err := h.pumps[e.rec.Pump].Beat(ctx, activityOf(e))
	return h.answerOf(ctx, e, b, err)
}

func (h *Hub) answerOf(ctx context.Context, e entry, b heartbeat.Beat, err error) (said answer, _ error) {
	switch {
	case errors.Is(err, heartbeat.ErrDead):
		return answer{dead: readable(beatCall, err)}, nil
	case err != nil:
		return answer{}, err
	}
	said.skip = b.Skip
	if b.Details != nil && !b.Skip {
		enc, err := h.encoder.in(ctx)
		if err == nil {
			said.details, err = enc.details(e.rec, []any{b.Details})
		}
		said.unsent = err
	}
	return said, nil
}

const beatCall = "the pump's Beat"

// sayAtOnce is askPump for a pump that asks nobody.
func (h *Hub) sayAtOnce(ctx context.Context, e entry) (answer, error) {
	return guarded(beatCall, func() (answer, error) { return h.consult(ctx, e) })
}

// askPump asks what a beat says, in a goroutine that is given up where the pump
// hangs.
func (h *Hub) askPump(ctx context.Context, e entry) (answer, error) {
	return outside(ctx, &h.asking, e.id, beatCall, func() (answer, error) { return h.consult(ctx, e) })
}

// beaten does what the pump said, and writes down what came of it.
func (h *Hub) beaten(ctx context.Context, e entry, said answer, pumpErr error) (entry, following) {
	now := time.Now()
	did := beat{at: now}
	switch {
	case said.dead != nil:
		h.jobDead(ctx, e, said.dead)
		return e, nothingNext
	case pumpErr != nil:
		h.beatFailed(ctx, e, "the pump doesn't know how the job is", pumpErr)
		did.failed = true
	case said.skip:
		did.skipped = true
	default:
		if said.details != nil || said.unsent != nil { // whoever looked may have answered as well
			fresh, waits := h.stillWaits(ctx, e)
			if !waits {
				return e, nothingNext
			}
			e = fresh
		}
		did = h.beat(ctx, e, said, now)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	saved, err := h.record(ctx, e, did)
	saved, next, err := told(saved, err)
	if err != nil && !errors.Is(err, errConflict) {
		h.storeFailed(ctx, e.id, err)
	}
	return saved, next
}

// stillWaits reads an entry again whose pump has been asked, and reports whether
// there is still something to beat for.
func (h *Hub) stillWaits(ctx context.Context, e entry) (entry, bool) {
	fresh, err := h.load(ctx, e.id)
	return fresh, err == nil && fresh.rec.State == record.Waiting && fresh.rec.Started == e.rec.Started &&
		fresh.rec.TokenLostStarted != fresh.rec.Started // another hub has learned that the attempt is over
}

// beatFailed says so, but not for each of thousands.
func (h *Hub) beatFailed(ctx context.Context, e entry, what string, err error) {
	h.troubles.beat.happened(ctx, append(aboutEntry(e.id, err), slog.String("why", what), slog.Int("tries", int(e.rec.BeatTries)+1))...)
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
func (h *Hub) beat(ctx context.Context, e entry, said answer, now time.Time) beat {
	r := e.rec
	did := beat{at: now, details: r.Details}
	if r.DetailsReadStarted != r.Started {
		// The function may have recorded details, and so may an earlier attempt.
		status, err := h.completer.Describe(ctx, target(r).ByID(), "")
		switch {
		case err != nil:
			h.callFailed(ctx, e, err)
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
		h.beatFailed(ctx, e, "the pump's details can't be sent, and those before are sent again", said.unsent)
	case said.details != nil:
		did.details = said.details
	}
	details, err := payloadsOf(did.details)
	if err != nil {
		h.log.ErrorContext(ctx, "async: heartbeat details can't be read", slog.String("callback", shortID(e.id)))
	}
	did.known = digestOf(details)
	signals, err := h.completer.Heartbeat(ctx, target(r), details)
	switch {
	case err == nil:
		did.signals, did.asked = signals, true
		return did
	case !errors.Is(err, completer.ErrOver) && !errors.Is(err, completer.ErrNotStarted):
		h.callFailed(ctx, e, err)
		did.failed = true
		return did
	}
	status, err := h.completer.Describe(ctx, target(r).ByID(), "")
	if err != nil {
		h.callFailed(ctx, e, err)
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

func (h *Hub) callFailed(ctx context.Context, e entry, err error) {
	h.beatFailed(ctx, e, "Temporal can't be reached, or refuses it", err)
}

// record writes what came of a beat to the entry, as long as the attempt is the
// same and has no outcome.
func (h *Hub) record(ctx context.Context, e entry, did beat) (entry, error) {
	before := e.rec
	started, said := before.Started, before.Details
	return h.update(ctx, e, func(e entry) (entry, bool, error) {
		r := e.rec
		if r.State != record.Waiting || r.Started != started || r.HandedOffStarted != started || !lifecycle.SameActivity(before, r) {
			return e, false, errConflict // it is no longer about this
		}
		now := time.Now()
		if did.adopted && !did.failed { // else they are to be read again
			r.DetailsReadStarted = started
		}
		if did.asked {
			h.policy(now).Signalled(r, lifecycle.Signals(did.signals))
		}
		switch {
		case did.over != record.NoEnd:
			h.policy(now).Close(r, did.over)
		case did.lost:
			r.TokenLostStarted, r.NextBeat = started, 0
		case did.failed:
			h.again(r, now)
		case did.skipped:
			h.scheduleBeat(e, now)
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
			h.scheduleBeat(e, now)
		}
		h.policy(now).PlanQuestion(r)
		e.held = h.policy(now).HoldNotices(r)
		return e, true, nil
	})
}

// jobDead fails the attempt that the pump was asked about.
func (h *Hub) jobDead(ctx context.Context, e entry, why error) {
	log := h.log.With(slog.String("callback", shortID(e.id)))
	enc, err := h.encoder.in(ctx)
	var o offer
	if err == nil {
		o, err = enc.failed(temporal.NewApplicationError(why.Error(), heartbeat.JobDead), true)
	}
	if err == nil {
		o.attempt, o.inSlot = e.rec.Started, true
		err = h.settle(ctx, Callback{hub: h, id: new(callbackIDOf(e.rec)), entry: e}, o)
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
