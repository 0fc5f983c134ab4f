// Package lifecycle holds the rules: what may happen to an activity that waits
// for an external system.
//
// A rule takes a record and an event, and changes the record. It makes no call,
// reads no clock and keeps nothing. A [Policy] says what a rule needs to know
// of its surroundings. Where a rule needs Temporal's word, its decision says
// what to ask, and the rule is called again with the answer.
//
// The rules are those of the state table in docs/internals.md.
package lifecycle

import (
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Policy says what the rules need to know besides the record and the event.
type Policy struct {
	Now       time.Time
	Retention time.Duration // how long an ended entry answers repeats
	ClaimTime time.Duration // how long a hub has an entry to itself
	Listens   Kinds         // the notices that have a hook
	CanAsk    bool          // Temporal can be asked, and outcomes be delivered
	Watch     time.Duration // how far apart the looks at a waiting activity are; 0: none
	// RefusedSince is since when Temporal refuses this hub's answers; zero: it doesn't.
	RefusedSince time.Time

	NewSecret func() []byte
	// Digest stands for the callback ID of an entry's round that is over.
	Digest func(entryID string, secret []byte) []byte
	// Jitter spreads what failed together.
	Jitter func(d time.Duration) time.Duration
}

// Kinds is a set of kinds of notices.
type Kinds uint32

// With returns the set with one kind more.
func (k Kinds) With(kind record.NoticeKind) Kinds { return k | 1<<uint(kind) }

// Has reports whether a kind is in the set.
func (k Kinds) Has(kind record.NoticeKind) bool {
	return kind > 0 && kind < 32 && k&(1<<uint(kind)) != 0
}

// Word is what Temporal says of an activity.
type Word struct {
	Pending         bool
	Running         bool // an attempt is under way
	CancelRequested bool
	Paused          bool
	Started         int64  // of the attempt that runs
	LastMark        string // of the failure that ended the attempt before
	// Of an activity that isn't pending. Buffered: its end isn't in the history
	// yet. End is EndDelivered if it ended with the outcome that was asked about.
	Buffered bool
	End      record.End

	Details  []byte // the digest of the last heartbeat's details; nil: none
	LastBeat int64  // when Temporal got the last heartbeat
}

// Runs reports whether the record's attempt is the one that runs: its token
// reaches no other.
func (w Word) Runs(r *record.Record) bool { return w.Pending && w.Running && w.Started == r.Started }

// Ours reports whether Temporal has taken the outcome with this mark.
func (w Word) Ours(mark string) bool {
	if w.Pending {
		return mark != "" && w.LastMark == mark
	}
	return !w.Buffered && w.End == record.EndDelivered
}

// Over reports whether the activity has ended, and its end is known.
func (w Word) Over() bool { return !w.Pending && !w.Buffered }

// EndOfOther is how an activity ended that no outcome of the entry has ended.
func (w Word) EndOfOther() record.End {
	if w.End == record.EndDelivered {
		return record.EndOther
	}
	return w.End
}

var (
	// ErrNewer means that the entry was written by a release that knows more.
	ErrNewer = errors.New("async: the entry was written by a newer release of Latchkey, and is left alone")

	// ErrKeyInUse means that another activity has the business key.
	ErrKeyInUse = errors.New("async: key in use by another activity")

	// ErrUnresolved fails an attempt whose function can't run yet: the next
	// attempt resolves what became of the failure.
	ErrUnresolved = errors.New("async: cannot determine whether an earlier failure was delivered; the attempt fails so that Temporal retries it")
)

// Known reports whether this release knows what to do in a state.
func Known(s record.State) bool { return s >= record.Waiting && s <= record.Closed }

// SameActivity reports whether two records are of one activity: those of one
// key needn't be.
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
