package lifecycle

import (
	"bytes"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Heartbeat details come from two sides: the activity's function records them at
// Temporal, and an external system brings them to the record. The rules here
// decide which are the newest. The worker's beats during the hand-off, the pump's
// beats and the delivery of an outcome share them.

// DetailsPending reports whether the record has details that no beat has sent.
func DetailsPending(r *record.Record) bool { return r.DetailsPendingSince != 0 && len(r.Details) > 0 }

// ServersAreNewer reports whether Temporal's details are newer than the record's:
// they differ from those that it was known to have, so the function or another
// process has recorded them since. If the record has pending details too, the
// clocks decide.
func ServersAreNewer(r *record.Record, w Word) bool {
	return w.Details != nil && !bytes.Equal(w.Details, r.ServerDetailsDigest) &&
		(r.DetailsPendingSince == 0 || w.LastBeat > r.DetailsPendingSince)
}

// WorkerSends reports whether a beat of the worker during the hand-off carries the
// record's details. Otherwise it carries those that Temporal has: a beat without
// details would erase them.
func WorkerSends(r *record.Record, w Word) bool {
	return DetailsPending(r) && !ServersAreNewer(r, w)
}

// Passing is what happens to pending details before an outcome is sent.
type Passing int

const (
	// Withhold sends no details.
	Withhold Passing = iota
	// DescribeForDetails asks Temporal, and calls the rule again with its word.
	DescribeForDetails
	// PassOn sends the record's details.
	PassOn
)

// BeforeOutcome decides whether pending details are sent before the outcome, so
// that the next attempt resumes from them. settled says that the outcome was
// accepted a moment ago; then the token is still that of the record's attempt.
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

// PassedOn records that Temporal has the record's details, by their digest.
func PassedOn(r *record.Record, digest []byte) {
	r.BeatPendingSince, r.DetailsPendingSince, r.ServerDetailsDigest = 0, 0, digest
}

// LoseToken records that Temporal no longer accepts the attempt's token for
// heartbeats. Pending details are for the next attempt.
func LoseToken(r *record.Record) { r.TokenLostStarted = r.Started }

// Brought records a heartbeat of an external system, with its details as they are
// sent; nil keeps those before. It reports whether the next beat has to be
// scheduled: a beat that is being retried keeps its time.
func Brought(r *record.Record, details []byte, now time.Time) (schedule bool) {
	if details != nil {
		r.Details, r.DetailsPendingSince = details, now.UnixNano()
	}
	if r.BeatPendingSince == 0 {
		r.BeatPendingSince = now.UnixNano()
	}
	return r.HandedOffStarted == r.Started && r.BeatTries == 0
}
