package lifecycle

import (
	"bytes"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Heartbeat details have two sources. The activity's function records them at
// Temporal, and an external system stores them in the record. The rules in this
// file decide which details are the newest. The worker's beats during the
// hand-off, the pump's beats and the delivery of an outcome share these rules.

// DetailsPending reports whether the record has details that no beat has sent.
func DetailsPending(r *record.Record) bool { return r.DetailsPendingSince != 0 && len(r.Details) > 0 }

// ServersAreNewer reports whether Temporal's details are newer than the
// record's. Temporal's details are newer if they differ from the details that
// Temporal was known to have, because the function or another process has
// recorded them since. If the record has pending details too, the clocks
// decide.
func ServersAreNewer(r *record.Record, w Word) bool {
	return w.Details != nil && !bytes.Equal(w.Details, r.ServerDetailsDigest) &&
		(r.DetailsPendingSince == 0 || w.LastBeat > r.DetailsPendingSince)
}

// WorkerSends reports whether a beat of the worker during the hand-off carries
// the record's details. Otherwise the beat carries the details that Temporal
// has, because a beat without details would erase them.
func WorkerSends(r *record.Record, w Word) bool {
	return DetailsPending(r) && !ServersAreNewer(r, w)
}

// Passing is the decision about pending details before an outcome is sent.
type Passing int

const (
	// Withhold sends no details.
	Withhold Passing = iota
	// DescribeForDetails asks Temporal, and calls the rule again with the
	// answer.
	DescribeForDetails
	// PassOn sends the record's details.
	PassOn
)

// BeforeOutcome decides whether pending details are sent before the outcome.
// The next attempt resumes from them. settled means that the outcome was
// accepted a moment ago, so the token still belongs to the record's attempt.
func BeforeOutcome(r *record.Record, settled bool, w *Word) Passing {
	switch {
	case !DetailsPending(r), r.TokenLostStarted == r.Started:
		return Withhold
	case settled && r.DetailsReadStarted == r.Started:
		return PassOn
	case w == nil:
		return DescribeForDetails
	case !w.Runs(r), ServersAreNewer(r, *w):
		return Withhold
	default:
		return PassOn
	}
}

// PassedOn records that Temporal has the record's details. digest is their
// digest.
func PassedOn(r *record.Record, digest []byte) {
	r.BeatPendingSince, r.DetailsPendingSince, r.ServerDetailsDigest = 0, 0, digest
}

// LoseToken records that Temporal no longer accepts the attempt's token for
// heartbeats. Pending details are for the next attempt.
func LoseToken(r *record.Record) { r.TokenLostStarted = r.Started }

// Brought records a heartbeat of an external system with its encoded details.
// Nil details keep the earlier ones. Brought reports whether the next beat has
// to be scheduled. A beat that is being retried keeps its time.
func Brought(r *record.Record, details []byte, now time.Time) (schedule bool) {
	if details != nil {
		r.Details, r.DetailsPendingSince = details, now.UnixNano()
	}
	if r.BeatPendingSince == 0 {
		r.BeatPendingSince = now.UnixNano()
	}
	return r.HandedOffStarted == r.Started && r.BeatTries == 0
}
