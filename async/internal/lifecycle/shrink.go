package lifecycle

import (
	"bytes"
	"slices"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Shrink drops the fields of a closed record that no code reads any more. The
// fields that are needed to answer repeats stay: the secret, the rounds, and
// the outcome's kind and fingerprint.
//
//   - The task token goes: an attempt that comes later brings its own.
//   - Heartbeat details go if no attempt follows. After a retryable failure
//     they stay: the next attempt resumes from details that no beat has sent.
//   - The payload goes once the outcome is delivered and the Delivered hook, if
//     there is one, has returned nil. An outcome that was not delivered keeps
//     its payload, since the activity may turn out not to be over.
//   - The observer's values go when no hook is left to call.
func Shrink(r *record.Record, keepOutcomes bool) {
	if r.State != record.Closed {
		return
	}
	r.TaskToken = nil
	if len(r.Notices) == 0 {
		r.Carry = nil
	}
	if r.End != record.EndDelivered || r.Outcome == nil {
		return
	}
	if r.Outcome.Kind != record.Failure || r.Outcome.NonRetryable {
		r.Details, r.ServerDetailsDigest, r.BeatPendingSince, r.DetailsPendingSince = nil, nil, 0, 0
	}
	unnotified := slices.ContainsFunc(r.Notices, func(n *record.Notice) bool {
		return n.Kind == record.NoticeDelivered && bytes.Equal(n.Secret, r.Secret)
	})
	if !keepOutcomes && !unnotified {
		r.Outcome.Payload, r.Outcome.Gone = nil, true
	}
}
