package lifecycle

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// ClassRefused is the class of an outcome that Temporal refuses until an
// operator removes the cause.
const ClassRefused = "refused"

// Verdict is the conclusion from a try to deliver.
type Verdict struct {
	End   record.End    // if set, the entry closes
	Class string        // if End is not set, the reason why the entry stays settled
	After time.Duration // time until the next try; zero: it depends on the number of tries
	OfHub bool          // the cause is the hub that tried, and not the outcome
}

// Delivered is the verdict on an outcome that Temporal has accepted.
var Delivered = Verdict{End: record.EndDelivered}

// NoAttempt is the verdict on a failure whose attempt does not run. Start of
// the next attempt decides about the failure.
var NoAttempt = Verdict{Class: "no attempt to fail"}

// Ended judges the evidence of how an activity ended.
func Ended(w Word) Verdict {
	if w.Buffered {
		return Verdict{Class: "ended, not yet in history"}
	}
	return Verdict{End: w.End}
}

// BeforeFailing decides whether a failure may be sent to the record's attempt.
// Another process may have sent the failure before it died. Nothing prevents a
// second delivery of a failure. A reset makes old tokens valid again, and the
// failure must not also end the attempt that follows it.
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

// AfterNotFound decides what follows if Temporal does not know the token. The
// attempt is then over, but the activity may still wait. A result is for the
// activity, in any attempt. A failure or a cancellation is for this attempt,
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

// Concerns reports whether a verdict is about the outcome and the activity of
// the record. Another activity with the same key may have taken over both
// since.
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
		most := LastDelivery
		if v.OfHub {
			most = LastDeliveryOfHub
		}
		after = Doubled(FirstDelivery, lastDelivery(r, most), int(r.Delivery.Tries))
	}
	r.Delivery.Next = p.Now.Add(p.Jitter(after)).UnixNano()
	switch {
	case v.Class != ClassRefused:
	case v.OfHub:
		p.ReportRefusal(r)
	default:
		p.notice(r, record.NoticeRefused, record.NoEnd)
	}
}

// ReportRefusal schedules the hook Refused if Temporal refuses this hub and no
// other hub has delivered the answer within RefusedAfter. ReportRefusal repeats
// this from time to time. ReportRefusal reports whether the record changed.
func (p Policy) ReportRefusal(r *record.Record) bool {
	reported := r.Delivery.GetRefusalReported()
	switch {
	case !p.Listens.Has(record.NoticeRefused), p.RefusedSince.IsZero():
		return false
	case p.Now.Sub(p.RefusedSince) < RefusedAfter, p.Now.Sub(FromNano(r.Outcome.GetSettled())) < RefusedAfter:
		return false
	case reported != 0 && p.Now.Sub(FromNano(reported)) < RefusedDelivery:
		return false
	}
	r.Delivery.RefusalReported = p.Now.UnixNano()
	r.Delivery.LastError = ClassRefused
	p.notice(r, record.NoticeRefused, record.NoEnd)
	return true
}

// Close ends the record and schedules a hook. The outcome stays, if there is
// one. The outcome answers repeats, and it is delivered if the activity turns
// out not to be over.
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
