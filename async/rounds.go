package async

import (
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

// arrive brings an attempt to the record of its activity, by the state table.
// now is a record as if this attempt were the first. It reports what Start has
// to do, and whether r has changed and must be saved before.
//
// Attempts are ordered by when they started, never by number: a reset sets
// numbers back.
func arrive(id string, r, now *record.Record) (next step, changed bool, err error) {
	later, same := now.Started > r.Started, now.Started == r.Started
	if !later && !same {
		return stepPending, false, nil
	}
	if r.State == record.Closed {
		// A delivered failure ended the attempt that it was meant for. It may be
		// known only now, when the attempt after it has left its token already.
		endedByFailure := r.End == record.EndDelivered && r.Outcome.GetKind() == record.Failure
		switch {
		case endedByFailure && now.Started > r.Outcome.Started:
			newRound(id, r, true)
			adopt(r, now)
			return stepAsk, true, nil
		case !later || r.End == record.EndDelivered:
			return stepPending, false, nil
		case r.Outcome == nil, r.End == record.EndAbandoned, r.ResultType != now.ResultType:
			newRound(id, r, false)
			adopt(r, now)
			return stepAsk, true, nil
		}
		// It was not over after all, and what was answered was never delivered.
		r.State = record.Settled
		r.Ended, r.End = 0, record.NoEnd
		r.Notices = slices.DeleteFunc(r.Notices, func(n *record.Notice) bool {
			return n.Kind == record.NoticeOver && sameSecret(n.Secret, r.Secret)
		})
	}
	switch r.State {
	case record.Waiting:
		if r.ResultType != now.ResultType {
			newRound(id, r, true)
			adopt(r, now)
			return stepAsk, true, nil
		}
		if same {
			if r.HandedOffStarted == r.Started {
				return stepPending, false, nil
			}
			return stepAsk, false, nil
		}
		known := r.HandedOffStarted != 0 || r.Reference != ""
		if now.PerAttempt {
			newRound(id, r, false)
		}
		adopt(r, now)
		if now.Once && known {
			r.HandedOffStarted = r.Started
			return stepPending, true, nil
		}
		return stepAsk, true, nil
	case record.Settled:
		if later && r.ResultType != now.ResultType {
			// Its sender is told that it was superseded, if it asks again:
			// what it sent was never reported.
			newRound(id, r, false)
			adopt(r, now)
			return stepAsk, true, nil
		}
		if later {
			adopt(r, now)
		}
		return stepDeliver, true, nil // the claim is written
	default:
		return stepPending, false, errNewer
	}
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
	r.ResultType, r.Once, r.PerAttempt, r.Labels = now.ResultType, now.Once, now.PerAttempt, now.Labels
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
