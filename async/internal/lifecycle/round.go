package lifecycle

import (
	"bytes"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// KeptRounds is how many rounds that are over an entry remembers, so that a
// sender that repeats an old answer is recognised.
const KeptRounds = 8

// newRound ends the round that was, and begins another with a secret of its
// own. remember keeps how the old one was answered.
func (p Policy) newRound(id string, r *record.Record, remember bool) {
	over := &record.Round{CallbackDigest: p.Digest(id, r.Secret)}
	if remember && r.Outcome != nil {
		over.Fingerprint, over.Kind = r.Outcome.Fingerprint, r.Outcome.Kind
	}
	for _, n := range r.Notices {
		if bytes.Equal(n.Secret, r.Secret) {
			n.Reference = r.Reference // as remembered by now
		}
	}
	r.Rounds = append(r.Rounds, over)
	if n := len(r.Rounds) - KeptRounds; n > 0 {
		r.Rounds = r.Rounds[n:]
	}
	r.Secret = p.NewSecret()
	blank(r)
}

// blank makes the record one of a round that begins.
func blank(r *record.Record) {
	r.State = record.Waiting
	r.Outcome, r.Delivery = nil, nil
	r.Ended, r.End = 0, record.NoEnd
	r.HandedOffStarted, r.Reference, r.Notes = 0, "", nil
	r.RoundBegan, r.Carry = 0, nil
	dropSent(r)
}

// BeginHandOff notes that the function of an attempt is about to run. What an
// observer keeps is that of the latest attempt that ran it.
func BeginHandOff(r, arriving *record.Record, now time.Time) {
	if r.RoundBegan == 0 {
		r.RoundBegan = now.UnixNano()
	}
	if len(arriving.Carry) > 0 {
		r.Carry = arriving.Carry
	}
}

// OfNotice makes a copy of a record what it was when the round of a notice
// ended.
func OfNotice(r *record.Record, n *record.Notice) {
	if bytes.Equal(r.Secret, n.Secret) {
		return
	}
	blank(r)
	r.Secret, r.Reference = n.Secret, n.Reference
	r.State, r.End = record.Closed, n.Reason
	if n.Outcome != record.NoKind {
		r.Outcome = &record.Outcome{Kind: n.Outcome}
		r.Delivery = &record.Delivery{Delivered: n.Kind == record.NoticeDelivered}
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
	if len(now.TaskToken) == 0 { // it was adopted by its IDs
		r.TokenLostStarted = r.Started
	}
}

// bringToken takes the token of an attempt that was adopted by its IDs, and that
// calls Start or is adopted by its token after that. It reports whether the record
// changed.
func bringToken(r, now *record.Record) bool {
	if len(r.TaskToken) > 0 || len(now.TaskToken) == 0 {
		return false
	}
	r.TaskToken, r.TokenLostStarted = now.TaskToken, 0
	return true
}

// rename makes the record that of another activity, which doesn't know of the
// job's progress yet.
func rename(r, now *record.Record) {
	r.WorkflowId, r.RunId, r.ActivityId, r.ActivityRunId = now.WorkflowId, now.RunId, now.ActivityId, now.ActivityRunId
	r.Scheduled = now.Scheduled
	r.Early = false
	r.TokenLostStarted, r.DetailsReadStarted, r.ServerDetailsDigest, r.DetailsPendingSince = 0, 0, nil, 0
	if len(r.Details) > 0 {
		r.BeatPendingSince, r.DetailsPendingSince = now.Created, now.Created
	}
	adopt(r, now)
}

// dropSent drops heartbeat details that the server has: the next beat reads them
// there, if there is one. What no beat has passed on stays.
func dropSent(r *record.Record) {
	if r.DetailsPendingSince == 0 {
		r.Details, r.ServerDetailsDigest, r.BeatPendingSince = nil, nil, 0
	}
}
