package lifecycle

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Due returns when the entry needs a hub next, or the zero time if it never
// does. Due is the only function that computes this time.
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

// QuestionAt returns when a hub asks whether a waiting activity is over. A hub
// asks at the next check of the activity's run, or at its deadline. A passed
// deadline is a reason to ask, and does not prove that the activity is over.
func QuestionAt(r *record.Record) time.Time {
	if r.NextQuestion == 0 || r.Questions == 0 && r.Deadline != 0 && r.Deadline < r.NextQuestion {
		return FromNano(r.Deadline)
	}
	return FromNano(r.NextQuestion)
}

// BeatAt returns when the next beat is due, or zero. No beat is due before the
// function has returned, or for an attempt that Temporal no longer knows.
func BeatAt(r *record.Record) time.Time {
	if r.HandedOffStarted != r.Started || r.TokenLostStarted == r.Started {
		return time.Time{}
	}
	return FromNano(r.NextBeat)
}

// Lapses returns when the attempt times out unless Temporal gets a beat.
func Lapses(r *record.Record) time.Time {
	if r.HeartbeatTimeout == 0 {
		return FromNano(r.NextBeat).Add(LastBeatRetry)
	}
	return FromNano(r.LastBeat + r.HeartbeatTimeout)
}

// RemoveAt returns when an ended entry is removed.
func RemoveAt(r *record.Record, retention time.Duration) time.Time {
	return FromNano(r.Ended).Add(retention)
}

// IsDue compares times in whole milliseconds, as stores do. An entry that a
// store finds due must also be due here.
func IsDue(at, now time.Time) bool { return at.UnixMilli() <= now.UnixMilli() }
