package lifecycle

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// ClassRefused is the class of what Temporal refuses until it is mended.
const ClassRefused = "refused"

// Verdict is what is known after a try to deliver.
type Verdict struct {
	End   record.End    // set: the entry closes
	Class string        // otherwise: why it stays settled
	After time.Duration // until the next try; zero: by the number of tries
}

// Delivered is the verdict on an outcome that Temporal has taken.
var Delivered = Verdict{End: record.EndDelivered}

// NoAttempt is the verdict on a failure whose attempt doesn't run. The next
// attempt's Start decides on it.
var NoAttempt = Verdict{Class: "no attempt to fail"}

// Ended judges the evidence of how an activity ended.
func Ended(w Word) Verdict {
	if w.Buffered {
		return Verdict{Class: "ended, not yet in history"}
	}
	return Verdict{End: w.End}
}

// BeforeFailing decides whether a failure may be sent to the record's attempt
// that another process may have sent before, and died. Nothing fences a failure:
// a reset revives old tokens, and the attempt that the failure brought about
// must not be failed by it too.
func BeforeFailing(r *record.Record, w Word) (v Verdict, send bool) {
	switch {
	case !w.Pending:
		return Ended(w), false
	case w.Ours(r.Outcome.GetMark()):
		return Delivered, false
	case !w.Runs(r) || r.Outcome.GetStarted() != r.Started:
		return NoAttempt, false
	}
	return Verdict{}, true
}

// AfterNotFound decides what follows where Temporal doesn't know the token: its
// attempt is over, which says nothing of the activity. A result is the
// activity's, whatever attempt. A failure or a cancellation is this attempt's,
// which a reset may have renumbered.
func AfterNotFound(r *record.Record, w Word) (v Verdict, byID bool) {
	switch {
	case !w.Pending:
		return Ended(w), false
	case r.Outcome.GetKind() == record.Result, w.Runs(r):
		return Verdict{}, true
	case w.Ours(r.Outcome.GetMark()):
		return Delivered, false
	default:
		return NoAttempt, false
	}
}

// Concerns reports whether a verdict is about the outcome and the activity that
// the record has: another of the same key may have taken it over meanwhile.
func Concerns(r, about *record.Record, mark string) bool {
	return r.State == record.Settled && r.Outcome.GetMark() == mark && SameActivity(about, r)
}

// Conclude writes a verdict to a settled record.
func (p Policy) Conclude(r *record.Record, v Verdict) {
	r.Delivery.Tries++
	if v.End != record.NoEnd {
		p.Close(r, v.End)
		return
	}
	r.Delivery.LastError = v.Class
	after := v.After
	if after == 0 {
		after = Doubled(FirstDelivery, lastDelivery(r), int(r.Delivery.Tries))
	}
	r.Delivery.Next = p.Now.Add(p.Jitter(after)).UnixNano()
	if v.Class == ClassRefused {
		p.notice(r, record.NoticeRefused, record.NoEnd)
	}
}

// Close ends the record, and has a hook called. Its outcome, if any, stays: it
// answers repeats, and it is delivered after all where the activity turns out
// not to be over.
func (p Policy) Close(r *record.Record, end record.End) {
	r.State, r.End, r.Ended = record.Closed, end, p.Now.UnixNano()
	kind := record.NoticeOver
	if end == record.EndDelivered {
		kind = record.NoticeDelivered
		r.Delivery.Delivered, r.Delivery.LastError = true, ""
	}
	dropSent(r)
	r.NextBeat = 0
	p.notice(r, kind, end)
}
