package lifecycle

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Retry ends the backoff of the delivery of an accepted outcome, and of hooks
// that have failed. Retry reports whether there was a call to make due. An
// early result is not delivered before its activity arrives, so Retry does not
// change its time.
func Retry(r *record.Record, now time.Time) bool {
	retried := false
	if r.State == record.Settled && !r.Early {
		r.Delivery.Next = now.UnixNano()
		retried = true
	}
	if Known(r.State) && len(r.Notices) > 0 && r.NoticeTries > 0 {
		r.NextNotice = now.UnixNano()
		retried = true
	}
	return retried
}

// Classes of trouble that are not classes of a failed delivery.
const (
	ClassHook = "hook"
	ClassBeat = "heartbeat"
	ClassLate = "late"
)

// LateAfter is how long an untried entry must be due before it has the class
// ClassLate.
const LateAfter = time.Minute

// Class names what goes wrong with an entry: the class of the last delivery's
// error, ClassHook, ClassBeat, or ClassLate for an entry that no hub works on.
// Class is empty if nothing is wrong.
func Class(r *record.Record, retention time.Duration, now time.Time) string {
	if class := failing(r); class != "" {
		return class
	}
	if late := LateSince(r, retention, now); !late.IsZero() && now.Sub(late) >= LateAfter {
		return ClassLate
	}
	return ""
}

// failing returns the class of the last failed try.
func failing(r *record.Record) string {
	switch {
	case r.State == record.Settled && r.Delivery.GetLastError() != "":
		return r.Delivery.LastError
	case len(r.Notices) > 0 && r.NoticeTries > 0:
		return ClassHook
	case r.State == record.Waiting && r.BeatTries > 0:
		return ClassBeat
	}
	return ""
}

// Failing reports whether the last try to deliver, to heartbeat or to call a
// hook has failed.
func Failing(r *record.Record) bool { return failing(r) != "" }

// LateSince returns since when an entry needs a hub, or zero if it needs none.
// An entry with an outcome needs a hub from the acceptance until Temporal has
// the outcome. For an entry in backoff, the time counts from its next try.
func LateSince(r *record.Record, retention time.Duration, now time.Time) time.Time {
	var late time.Time
	since := func(t time.Time) {
		if !t.IsZero() && !t.After(now) && (late.IsZero() || t.Before(late)) {
			late = t
		}
	}
	switch r.State {
	case record.Waiting:
		since(QuestionAt(r))
		since(BeatAt(r))
	case record.Settled:
		if r.Early {
			since(FromNano(r.Delivery.GetNext()))
		} else {
			since(FromNano(r.Outcome.GetSettled()))
		}
	case record.Closed:
		if len(r.Notices) == 0 {
			since(RemoveAt(r, retention))
		}
	}
	if len(r.Notices) > 0 {
		since(FromNano(r.NextNotice))
	}
	return late
}

// StateSince returns when an entry entered its state. A waiting entry has been
// in its state since its round began.
func StateSince(r *record.Record) time.Time {
	switch r.State {
	case record.Settled:
		return FromNano(r.Outcome.GetSettled())
	case record.Closed:
		return FromNano(r.Ended)
	default:
		if r.RoundBegan != 0 {
			return FromNano(r.RoundBegan)
		}
	}
	return FromNano(r.Created)
}
