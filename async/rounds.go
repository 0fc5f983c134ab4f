package async

import (
	"log/slog"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/recordpb"
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
func needsWord(r, now *recordpb.Record) bool {
	if r.Outcome == nil || r.Early || !sameActivity(r, now) || now.Started <= r.Started {
		return false
	}
	failure := r.Outcome.Kind == recordpb.Kind_KIND_FAILURE
	switch r.State {
	case recordpb.State_STATE_SETTLED:
		return failure || r.ResultType != now.ResultType
	case recordpb.State_STATE_CLOSED:
		return failure && revives(r, now)
	default:
		return false
	}
}

// revives reports whether a later attempt shows that a closed record's activity
// was not over, so that its outcome is to be delivered after all.
func revives(r, now *recordpb.Record) bool {
	return r.Outcome != nil && r.End != recordpb.End_END_DELIVERED && r.End != recordpb.End_END_ABANDONED && r.ResultType == now.ResultType
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
func fateOf(r, now *recordpb.Record, word *Status) fate {
	switch {
	case word == nil || !word.Pending:
		return fateUnresolved
	case word.LastMark == r.Outcome.Mark:
		return fateTaken
	case !attemptRuns(now, *word):
		return fateUnresolved
	case r.Outcome.NonRetryable:
		return fateUntaken
	case now.Attempt == r.Attempt+1 && r.Outcome.Started == r.Started && !r.Outcome.Outrun && !r.Reset_:
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
func (h *Hub) arrive(id string, r, now *recordpb.Record, word *Status) (next step, changed bool, err error) {
	later, same := now.Started > r.Started, now.Started == r.Started
	if !later && !same {
		return stepPending, false, nil
	}
	again := func(remember bool) (step, bool, error) {
		newRound(id, r, remember)
		adopt(r, now)
		return stepAsk, true, nil
	}
	tell := func(kind recordpb.NoticeKind, why recordpb.End) { h.notice(r, kind, why, time.Now()) }
	switch r.State {
	case recordpb.State_STATE_CLOSED:
		// A delivered failure ended the attempt that it was meant for. It may be
		// known only now, when the attempt after it has left its token already.
		endedByFailure := r.End == recordpb.End_END_DELIVERED && r.Outcome.GetKind() == recordpb.Kind_KIND_FAILURE
		switch {
		case endedByFailure && now.Started > r.Outcome.Started:
			return again(true)
		case !later || r.End == recordpb.End_END_DELIVERED:
			return stepPending, false, nil
		case !revives(r, now):
			return again(false)
		}
		return h.arriveSettled(r, now, word, again)
	case recordpb.State_STATE_WAITING:
		if r.ResultType != now.ResultType {
			return again(true)
		}
		if same {
			if r.Asked == r.Started {
				return stepPending, false, nil
			}
			return stepAsk, false, nil
		}
		known := r.Asked != 0 || r.Reference != ""
		adopt(r, now)
		if now.Once && known {
			r.Asked = r.Started
			return stepPending, true, nil
		}
		return stepAsk, true, nil
	case recordpb.State_STATE_SETTLED:
		if later && r.ResultType != now.ResultType {
			if word != nil && (word.Pending && word.LastMark == r.Outcome.Mark || !word.Pending && word.End == EndOurs) {
				closed(r, recordpb.End_END_DELIVERED, time.Now())
				tell(recordpb.NoticeKind_NOTICE_KIND_DELIVERED, recordpb.End_END_DELIVERED)
				return h.arrive(id, r, now, nil)
			}
			// If its sender repeats it, that is superseded: it was never reported.
			tell(recordpb.NoticeKind_NOTICE_KIND_OVER, recordpb.End_END_TYPE_MISMATCH)
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
func (h *Hub) arriveSettled(r, now *recordpb.Record, word *Status, again func(remember bool) (step, bool, error)) (next step, changed bool, err error) {
	wasClosed := r.State == recordpb.State_STATE_CLOSED
	if r.Outcome.Kind == recordpb.Kind_KIND_FAILURE {
		switch fateOf(r, now, word) {
		case fateUnresolved:
			return 0, false, errUnresolved
		case fateTaken:
			withdrawOver(r)
			closed(r, recordpb.End_END_DELIVERED, time.Now())
			h.notice(r, recordpb.NoticeKind_NOTICE_KIND_DELIVERED, recordpb.End_END_DELIVERED, time.Now())
			return again(true)
		case fateSpent:
			if !wasClosed {
				h.notice(r, recordpb.NoticeKind_NOTICE_KIND_OVER, recordpb.End_END_UNKNOWN, time.Now())
			}
			return again(true) // a repeat is known
		}
	}
	if wasClosed { // it was not over after all
		r.State = recordpb.State_STATE_SETTLED
		r.Ended, r.End = 0, recordpb.End_END_UNSPECIFIED
		withdrawOver(r)
	}
	adopt(r, now)
	if r.Outcome.Kind == recordpb.Kind_KIND_FAILURE {
		r.Outcome.Started = r.Started // written before it is sent to this attempt
	}
	return stepDeliver, true, nil
}

// withdrawOver drops the notice that the round has ended undelivered.
func withdrawOver(r *recordpb.Record) {
	r.Notices = slices.DeleteFunc(r.Notices, func(n *recordpb.Notice) bool {
		return n.Kind == recordpb.NoticeKind_NOTICE_KIND_OVER && sameSecret(n.Secret, r.Secret)
	})
}

// dropSent drops heartbeat details that the server has: the next beat reads them
// there, if there is one. What no beat has passed on stays.
func dropSent(r *recordpb.Record) {
	if r.Brought == 0 {
		r.Details, r.Known, r.Relayed = nil, nil, 0
	}
}

// adopt makes the record that of this attempt. What an operator sees, and what
// the worker's code says today, follow the latest attempt.
func adopt(r, now *recordpb.Record) {
	if r.Reset_ || now.Attempt <= r.Attempt {
		dropSent(r) // a reset may have cleared them at the server
	}
	r.Attempt, r.Started, r.TaskToken = now.Attempt, now.Started, now.TaskToken
	r.Deadline, r.HeartbeatTimeout = now.Deadline, now.HeartbeatTimeout
	r.TaskQueue, r.ActivityType, r.WorkflowType = now.TaskQueue, now.ActivityType, now.WorkflowType
	r.ResultType, r.Once, r.Labels = now.ResultType, now.Once, now.Labels
	r.CancelRequested, r.Paused, r.Reset_ = false, false, false // signals of the attempt before
	r.Pump, r.LastBeat, r.NextBeat, r.BeatTries = now.Pump, 0, 0, 0
	r.NextQuestion, r.Questions = 0, 0
}

// newRound ends the asking that was, and begins another with a secret of its
// own. remember keeps how the old one was answered.
func newRound(id string, r *recordpb.Record, remember bool) {
	over := &recordpb.Round{CallbackDigest: callbackDigest(callbackID(id, r.Secret))}
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
	r.State = recordpb.State_STATE_WAITING
	r.Outcome, r.Delivery = nil, nil
	r.Ended, r.End = 0, recordpb.End_END_UNSPECIFIED
	r.Asked, r.Reference = 0, ""
	dropSent(r)
}

// roundOf returns whether the callback ID is that of the record's current
// round, else the one before that it belongs to, or nil.
func roundOf(e entry, callback string) (current bool, before *recordpb.Round) {
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
func settle(r *recordpb.Record, o *recordpb.Outcome) {
	r.State = recordpb.State_STATE_SETTLED
	r.Outcome = o
	r.Delivery = new(recordpb.Delivery)
}

// closed ends the record. Its outcome, if any, stays: it answers repeats, and
// it is delivered after all where the activity turns out not to be over.
func closed(r *recordpb.Record, end recordpb.End, now time.Time) {
	r.State = recordpb.State_STATE_CLOSED
	r.End = end
	r.Ended = now.UnixNano()
	if end == recordpb.End_END_DELIVERED {
		r.Delivery.Delivered = true
		r.Delivery.LastError = ""
	}
	dropSent(r)
	r.NextBeat = 0
}
