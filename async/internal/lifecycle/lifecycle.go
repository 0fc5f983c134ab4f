// Package lifecycle holds the rules: what may happen to an activity that waits
// for an external system.
//
// A rule takes a record and an event, and changes the record. A rule makes no
// call, reads no clock and keeps no state. A [Policy] contains the settings and
// the time that a rule needs. If a rule needs an answer of Temporal, its
// decision says what to ask, and the hub calls the rule again with the answer.
//
// The state table in docs/internals.md lists the rules.
package lifecycle

import (
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Policy contains what the rules need in addition to the record and the event.
type Policy struct {
	Now       time.Time
	Retention time.Duration // how long an ended entry answers repeats
	ClaimTime time.Duration // how long a claim reserves an entry for a hub
	Listens   Kinds         // the kinds of notices that have a hook
	CanAsk    bool          // Temporal can be asked, and outcomes can be delivered
	Watch     time.Duration // the time between two checks of a waiting activity; 0: no checks
	// RefusedSince is when Temporal began to refuse this hub's answers, or zero
	// if it does not refuse them.
	RefusedSince time.Time

	NewSecret func() []byte
	// Digest returns a digest of the callback ID of an ended round of the
	// entry.
	Digest func(entryID string, secret []byte) []byte
	// Jitter spreads the retries of calls that failed at the same time.
	Jitter func(d time.Duration) time.Duration
}

// Kinds is a set of kinds of notices.
type Kinds uint32

// With returns the set with one more kind.
func (k Kinds) With(kind record.NoticeKind) Kinds { return k | 1<<uint(kind) }

// Has reports whether a kind is in the set.
func (k Kinds) Has(kind record.NoticeKind) bool {
	return kind > 0 && kind < 32 && k&(1<<uint(kind)) != 0
}

// Word is Temporal's answer about an activity.
type Word struct {
	Pending         bool
	Running         bool // an attempt is running
	CancelRequested bool
	Paused          bool
	Started         int64  // start of the running attempt
	LastMark        string // mark of the failure that ended the previous attempt
	// The following fields describe an activity that is not pending. Buffered:
	// the history does not show its end yet. End is EndDelivered if the
	// activity ended with the requested outcome.
	Buffered bool
	End      record.End

	Details  []byte // the digest of the last heartbeat's details; nil if there are none
	LastBeat int64  // when Temporal got the last heartbeat
}

// Runs reports whether the record's attempt is the running one. The token of
// the record then reaches no other attempt.
func (w Word) Runs(r *record.Record) bool { return w.Pending && w.Running && w.Started == r.Started }

// Ours reports whether Temporal has accepted the outcome with this mark.
func (w Word) Ours(mark string) bool {
	if w.Pending {
		return mark != "" && w.LastMark == mark
	}
	return !w.Buffered && w.End == record.EndDelivered
}

// Over reports whether the activity has ended, and its end is known.
func (w Word) Over() bool { return !w.Pending && !w.Buffered }

// EndOfOther returns how an activity ended if no outcome of the entry ended it.
func (w Word) EndOfOther() record.End {
	if w.End == record.EndDelivered {
		return record.EndOther
	}
	return w.End
}

var (
	// ErrNewer means that a newer release wrote the entry in a state that this
	// release does not know.
	ErrNewer = errors.New("async: the entry was written by a newer release of Latchkey, and is left alone")

	// ErrKeyInUse means that another activity has the business key.
	ErrKeyInUse = errors.New("async: key in use by another activity")

	// ErrUnresolved fails an attempt whose function cannot run yet. The next
	// attempt finds out what happened to the failure.
	ErrUnresolved = errors.New("async: cannot determine whether an earlier failure was delivered; the attempt fails so that Temporal retries it")
)

// Known reports whether this release can handle a state.
func Known(s record.State) bool { return s >= record.Waiting && s <= record.Closed }

// SameActivity reports whether two records belong to one activity. Records with
// the same business key may belong to different activities.
func SameActivity(a, b *record.Record) bool {
	return a.WorkflowId == b.WorkflowId && a.RunId == b.RunId && a.ActivityId == b.ActivityId &&
		a.ActivityRunId == b.ActivityRunId && a.Scheduled == b.Scheduled
}

// FromNano returns the time of a record's field; 0 is the zero time.
func FromNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
