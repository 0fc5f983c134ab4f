package async

import (
	"log/slog"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// keptRounds is how many askings that are over an entry remembers, so that a
// sender that repeats an old answer is recognised.
const keptRounds = 8

// step is what Start does once an attempt has arrived at its entry.
type step int

const (
	stepPending step = iota // nothing: the outside has been asked, or nothing is due
	stepAsk                 // the function runs
	stepDeliver             // an outcome stands: the completer reports it
)

// needsWord reports whether arrive needs Temporal's word on the record's
// outcome: a later attempt awaits another type and would drop the outcome, or
// the outcome is a failure that may have ended the attempt before.
func needsWord(r, now *record.Record) bool {
	if r.Outcome == nil || r.Early || !sameActivity(r, now) || now.Started <= r.Started {
		return false
	}
	failure := r.Outcome.Kind == record.Failure
	switch r.State {
	case record.Settled:
		return failure || r.ResultType != now.ResultType
	case record.Closed:
		return failure && revives(r, now)
	default:
		return false
	}
}

// revives reports whether a later attempt shows that a closed record's activity
// was not over, so that its outcome is to be delivered after all.
func revives(r, now *record.Record) bool {
	return r.Outcome != nil && r.End != record.EndDelivered && r.End != record.EndAbandoned && r.ResultType == now.ResultType
}

// fate is what becomes of a failure that was accepted when a later attempt
// arrives.
type fate int

const (
	fateUnresolved fate = iota // Temporal can't say now, or doesn't run this attempt
	fateTaken                  // it has ended an attempt before
	fateUntaken                // it has ended none, and is delivered to this one
	fateSpent                  // it may have ended one, and this one asks in any case
)

// fateOf judges a failure by the last failure that Temporal has.
//
// The record is of the attempt that the failure may have been sent to. If this
// attempt followed that one directly, Temporal's last failure is that of that
// one. If others lie between, or a reset renumbered them, the last failure says
// nothing. Then the failure is spent: it asks for another attempt that asks, and
// here is one. A non-retryable failure was not taken, since no attempt follows
// one that was.
func fateOf(r, now *record.Record, word *Status) fate {
	switch {
	case word == nil || !word.Pending:
		return fateUnresolved
	case word.LastMark == r.Outcome.Mark:
		return fateTaken
	case !attemptRuns(now, *word):
		return fateUnresolved
	case r.Outcome.NonRetryable:
		return fateUntaken
	case now.Attempt == r.Attempt+1 && r.Outcome.Started == r.Started && !r.Outcome.Outrun && !r.ResetRequested:
		return fateUntaken
	default:
		return fateSpent
	}
}

// arrive brings an attempt to the record of its activity, by the state table.
// now is a record as if this attempt were the first, and word what Temporal says
// of the outcome, where needsWord. It reports what Start has to do, and whether
// r has changed and must be saved before.
//
// Attempts are ordered by when they started, never by number: a reset sets
// numbers back.
func (h *Hub) arrive(id string, r, now *record.Record, word *Status) (next step, changed bool, err error) {
	later, same := now.Started > r.Started, now.Started == r.Started
	if !later && !same {
		return stepPending, false, nil
	}
	again := func(remember bool) (step, bool, error) {
		newRound(id, r, remember)
		adopt(r, now)
		return stepAsk, true, nil
	}
	tell := func(kind record.NoticeKind, why record.End) { h.notice(r, kind, why, time.Now()) }
	switch r.State {
	case record.Closed:
		// A delivered failure ended the attempt that it was meant for. It may be
		// known only now, when the attempt after it has left its token already.
		endedByFailure := r.End == record.EndDelivered && r.Outcome.GetKind() == record.Failure
		switch {
		case endedByFailure && now.Started > r.Outcome.Started:
			return again(true)
		case !later || r.End == record.EndDelivered:
			return stepPending, false, nil
		case !revives(r, now):
			return again(false)
		}
		return h.arriveSettled(r, now, word, again)
	case record.Waiting:
		if r.ResultType != now.ResultType {
			return again(true)
		}
		if same {
			if r.HandedOffStarted == r.Started {
				return stepPending, false, nil
			}
			return stepAsk, false, nil
		}
		known := r.HandedOffStarted != 0 || r.Reference != ""
		adopt(r, now)
		if now.Once && known {
			r.HandedOffStarted = r.Started
			return stepPending, true, nil
		}
		return stepAsk, true, nil
	case record.Settled:
		if later && r.ResultType != now.ResultType {
			if word != nil && (word.Pending && word.LastMark == r.Outcome.Mark || !word.Pending && word.End == EndOurs) {
				closed(r, record.EndDelivered, time.Now())
				tell(record.NoticeDelivered, record.EndDelivered)
				return h.arrive(id, r, now, nil)
			}
			// If its sender repeats it, that is superseded: it was never reported.
			tell(record.NoticeOver, record.EndTypeMismatch)
			h.log.Error("async: an accepted outcome was not delivered, since the activity now awaits another type",
				slog.String("callback", shortID(id)), slog.String("awaits", now.ResultType))
			return again(false)
		}
		if !later {
			return stepDeliver, true, nil // the claim is written
		}
		return h.arriveSettled(r, now, word, again)
	default:
		return stepPending, false, errNewer
	}
}

// arriveSettled brings a later attempt to an outcome that it awaits, as arrive
// does.
func (h *Hub) arriveSettled(r, now *record.Record, word *Status, again func(remember bool) (step, bool, error)) (next step, changed bool, err error) {
	wasClosed := r.State == record.Closed
	if r.Outcome.Kind == record.Failure {
		switch fateOf(r, now, word) {
		case fateUnresolved:
			return 0, false, errUnresolved
		case fateTaken:
			withdrawOver(r)
			closed(r, record.EndDelivered, time.Now())
			h.notice(r, record.NoticeDelivered, record.EndDelivered, time.Now())
			return again(true)
		case fateSpent:
			if !wasClosed {
				h.notice(r, record.NoticeOver, record.EndUnknown, time.Now())
			}
			return again(true) // a repeat is known
		}
	}
	if wasClosed { // it was not over after all
		r.State = record.Settled
		r.Ended, r.End = 0, record.NoEnd
		withdrawOver(r)
	}
	adopt(r, now)
	if r.Outcome.Kind == record.Failure {
		r.Outcome.Started = r.Started // written before it is sent to this attempt
	}
	return stepDeliver, true, nil
}

// withdrawOver drops the notice that the round has ended undelivered.
func withdrawOver(r *record.Record) {
	r.Notices = slices.DeleteFunc(r.Notices, func(n *record.Notice) bool {
		return n.Kind == record.NoticeOver && sameSecret(n.Secret, r.Secret)
	})
}

// dropSent drops heartbeat details that the server has: the next beat reads them
// there, if there is one. What no beat has passed on stays.
func dropSent(r *record.Record) {
	if r.DetailsPendingSince == 0 {
		r.Details, r.ServerDetailsDigest, r.BeatPendingSince = nil, nil, 0
	}
}

// adopt makes the record that of this attempt. What an operator sees, and what
// the worker's code says today, follow the latest attempt.
func adopt(r, now *record.Record) {
	if r.ResetRequested || now.Attempt <= r.Attempt {
		dropSent(r) // a reset may have cleared them at the server
	}
	r.Attempt, r.Started, r.TaskToken = now.Attempt, now.Started, now.TaskToken
	r.Deadline, r.HeartbeatTimeout = now.Deadline, now.HeartbeatTimeout
	r.TaskQueue, r.ActivityType, r.WorkflowType = now.TaskQueue, now.ActivityType, now.WorkflowType
	r.ResultType, r.Once, r.Labels = now.ResultType, now.Once, now.Labels
	r.CancelRequested, r.Paused, r.ResetRequested = false, false, false // signals of the attempt before
	r.Pump, r.LastBeat, r.NextBeat, r.BeatTries = now.Pump, 0, 0, 0
	r.NextQuestion, r.Questions = 0, 0
}

// newRound ends the asking that was, and begins another with a secret of its
// own. remember keeps how the old one was answered.
func newRound(id string, r *record.Record, remember bool) {
	over := &record.Round{CallbackDigest: callbackDigest(callbackID(id, r.Secret))}
	if remember && r.Outcome != nil {
		over.Fingerprint, over.Kind = r.Outcome.Fingerprint, r.Outcome.Kind
	}
	for _, n := range r.Notices {
		if sameSecret(n.Secret, r.Secret) {
			n.Reference = r.Reference // as remembered by now
		}
	}
	r.Rounds = append(r.Rounds, over)
	if n := len(r.Rounds) - keptRounds; n > 0 {
		r.Rounds = r.Rounds[n:]
	}
	r.Secret = newSecret()
	r.State = record.Waiting
	r.Outcome, r.Delivery = nil, nil
	r.Ended, r.End = 0, record.NoEnd
	r.HandedOffStarted, r.Reference = 0, ""
	dropSent(r)
}

// roundOf returns whether the callback ID is that of the record's current
// round, else the one before that it belongs to, or nil.
func roundOf(e entry, callback string) (current bool, before *record.Round) {
	_, secret, ok := splitCallbackID(callback)
	if !ok {
		return false, nil
	}
	if sameSecret(secret, e.rec.Secret) {
		return true, nil
	}
	d := callbackDigest(callback)
	for _, r := range e.rec.Rounds {
		if sameSecret(d, r.CallbackDigest) {
			return false, r
		}
	}
	return false, nil
}

// settle makes o the record's outcome.
func settle(r *record.Record, o *record.Outcome) {
	r.State = record.Settled
	r.Outcome = o
	r.Delivery = new(record.Delivery)
}

// closed ends the record. Its outcome, if any, stays: it answers repeats, and
// it is delivered after all where the activity turns out not to be over.
func closed(r *record.Record, end record.End, now time.Time) {
	r.State = record.Closed
	r.End = end
	r.Ended = now.UnixNano()
	if end == record.EndDelivered {
		r.Delivery.Delivered = true
		r.Delivery.LastError = ""
	}
	dropSent(r)
	r.NextBeat = 0
}
