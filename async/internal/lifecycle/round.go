package lifecycle

import (
	"bytes"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// KeptRounds is how many ended rounds an entry remembers, so that it recognizes
// repeats of old answers.
const KeptRounds = 8

// newRound ends the current round, and begins another one with a new secret.
// remember keeps the fingerprint of the old round's answer.
func (p Policy) newRound(id string, r *record.Record, remember bool) {
	over := &record.Round{CallbackDigest: p.Digest(id, r.Secret)}
	if remember && r.Outcome != nil {
		over.Fingerprint, over.Kind = r.Outcome.Fingerprint, r.Outcome.Kind
	}
	for _, n := range r.Notices {
		if bytes.Equal(n.Secret, r.Secret) {
			n.Reference = r.Reference // keeps the reference that was remembered so far
		}
	}
	r.Rounds = append(r.Rounds, over)
	if n := len(r.Rounds) - KeptRounds; n > 0 {
		r.Rounds = r.Rounds[n:]
	}
	r.Secret = p.NewSecret()
	blank(r)
}

// blank resets the record for a round that begins.
func blank(r *record.Record) {
	r.State = record.Waiting
	r.Outcome, r.Delivery = nil, nil
	r.Ended, r.End = 0, record.NoEnd
	r.HandedOffStarted, r.Reference, r.Notes = 0, "", nil
	r.RoundBegan, r.Carry = 0, nil
	dropSent(r)
}

// BeginHandOff records that the function of an attempt is about to run. The
// observer's values belong to the latest attempt that ran the function.
func BeginHandOff(r, arriving *record.Record, now time.Time) {
	if r.RoundBegan == 0 {
		r.RoundBegan = now.UnixNano()
	}
	if len(arriving.Carry) > 0 {
		r.Carry = arriving.Carry
	}
}

// OfNotice restores the state of a record at the end of a notice's round, in a
// copy of the record.
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

// adopt moves the record to this attempt. The fields for operators, and the
// settings in the worker's code, follow the latest attempt.
func adopt(r, now *record.Record) {
	if r.ResetRequested || now.Attempt <= r.Attempt {
		dropSent(r) // a reset may have cleared the details at the server
	}
	r.Attempt, r.Started, r.TaskToken = now.Attempt, now.Started, now.TaskToken
	r.Deadline, r.HeartbeatTimeout = now.Deadline, now.HeartbeatTimeout
	r.TaskQueue, r.ActivityType, r.WorkflowType = now.TaskQueue, now.ActivityType, now.WorkflowType
	r.ResultType, r.Once, r.Labels = now.ResultType, now.Once, now.Labels
	r.CancelRequested, r.Paused, r.ResetRequested = false, false, false // the signals belong to the earlier attempt
	r.Pump, r.LastBeat, r.NextBeat, r.BeatTries = now.Pump, 0, 0, 0
	r.NextQuestion, r.Questions = 0, 0
	if len(now.TaskToken) == 0 { // the attempt was adopted by its IDs
		r.TokenLostStarted = r.Started
	}
}

// bringToken stores the token of an attempt that was adopted by its IDs. The
// attempt has now called Start, or was adopted again by its token. bringToken
// reports whether the record changed.
func bringToken(r, now *record.Record) bool {
	if len(r.TaskToken) > 0 || len(now.TaskToken) == 0 {
		return false
	}
	r.TaskToken, r.TokenLostStarted = now.TaskToken, 0
	return true
}

// rename moves the record to another activity. Temporal has no details of the
// job's progress for that activity yet.
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

// dropSent drops heartbeat details that the server has. The next beat, if there
// is one, reads them from the server. Details that no beat has sent stay in the
// record.
func dropSent(r *record.Record) {
	if r.DetailsPendingSince == 0 {
		r.Details, r.ServerDetailsDigest, r.BeatPendingSince = nil, nil, 0
	}
}
