package lifecycle

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Due is when the entry needs a hub next; the zero time is never. It is the only
// place where that is computed.
func Due(r *record.Record, retention time.Duration) time.Time {
	var due time.Time
	switch r.State {
	case record.Waiting:
		due = QuestionAt(r)
		if at := BeatAt(r); due.IsZero() || !at.IsZero() && at.Before(due) {
			due = at
		}
	case record.Settled:
		due = FromNano(r.Delivery.GetNext())
	case record.Closed:
		due = RemoveAt(r, retention)
	}
	if len(r.Notices) > 0 {
		// No entry is removed before its hooks have been called.
		next := FromNano(r.NextNotice)
		if due.IsZero() || next.Before(due) || r.State == record.Closed {
			due = next
		}
	}
	return due
}

// QuestionAt is when a hub asks whether a waiting activity is over: with the
// next look at its run, or at its deadline. A deadline is a question and no
// verdict.
func QuestionAt(r *record.Record) time.Time {
	if r.NextQuestion == 0 || r.Questions == 0 && r.Deadline != 0 && r.Deadline < r.NextQuestion {
		return FromNano(r.Deadline)
	}
	return FromNano(r.NextQuestion)
}

// BeatAt is when the next beat is due, or zero: none is before the function has
// returned, and none for an attempt that Temporal no longer knows.
func BeatAt(r *record.Record) time.Time {
	if r.HandedOffStarted != r.Started || r.TokenLostStarted == r.Started {
		return time.Time{}
	}
	return FromNano(r.NextBeat)
}

// Lapses is when the attempt times out unless a beat comes.
func Lapses(r *record.Record) time.Time {
	if r.HeartbeatTimeout == 0 {
		return FromNano(r.NextBeat).Add(LastBeatRetry)
	}
	return FromNano(r.LastBeat + r.HeartbeatTimeout)
}

// RemoveAt is when an ended entry goes away.
func RemoveAt(r *record.Record, retention time.Duration) time.Time {
	return FromNano(r.Ended).Add(retention)
}

// IsDue compares as stores do, in whole milliseconds: an entry that a store
// finds due must not be too early here.
func IsDue(at, now time.Time) bool { return at.UnixMilli() <= now.UnixMilli() }
