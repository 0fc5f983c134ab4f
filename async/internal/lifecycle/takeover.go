package lifecycle

import (
	"fmt"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// takeOver handles another activity that arrives at the entry of its business
// key.
func (p Policy) takeOver(id string, r, now *record.Record, said Words) (Arrival, error) {
	if r.Early {
		return p.takeEarly(id, r, now)
	}
	isClosed := r.State == record.Closed
	delivered := isClosed && r.End == record.EndDelivered
	others := owner(r) != owner(now)
	switch {
	case others && !isClosed, !others && now.Scheduled <= r.Scheduled && sameRun(r, now):
		return Arrival{}, ErrKeyInUse
	case !others && now.Scheduled <= r.Scheduled && !p.CanAsk:
		return Arrival{}, ErrKeyInUse
	case (others || now.Scheduled <= r.Scheduled) && p.CanAsk && said.Arriving == nil:
		// A late worker may run an attempt of an activity that had the key
		// before and that is over. A workflow reset begins another run with the
		// events of the old run, so the activities of the new run may have the
		// old times.
		return Arrival{Next: DescribeArriving}, nil
	case others && p.CanAsk && !said.Arriving.Runs(now):
		return Arrival{}, nil
	case others:
		return p.takeAnew(id, r, now, delivered)
	case now.Scheduled <= r.Scheduled && !said.Arriving.Runs(now):
		return Arrival{}, ErrKeyInUse
	case delivered && r.Outcome.GetKind() != record.Failure:
		return p.takeAnew(id, r, now, true) // the earlier activity is over, so no question is needed
	case !p.CanAsk:
		return Arrival{}, fmt.Errorf("%w: a hub without a completer cannot ask whether the earlier activity is over", ErrKeyInUse)
	case said.Earlier == nil:
		return Arrival{Next: DescribeEarlier}, nil
	case said.Earlier.Pending:
		return Arrival{}, fmt.Errorf("%w: the earlier activity is pending", ErrKeyInUse)
	case isClosed:
		return p.takeAnew(id, r, now, delivered)
	case r.State == record.Waiting:
		return p.takeWaiting(id, r, now)
	case r.State == record.Settled:
		return p.takeSettled(id, r, now, *said.Earlier)
	default:
		return Arrival{}, ErrNewer
	}
}

// takeEarly handles an activity that arrives at the entry of an early result.
// The first such activity gets the result if it awaits the result's type.
func (p Policy) takeEarly(id string, r, now *record.Record) (Arrival, error) {
	switch {
	case r.State != record.Settled:
		return p.takeAnew(id, r, now, false)
	case r.ResultType != now.ResultType, r.Outcome.GetKind() != record.Result:
		p.notice(r, record.NoticeOver, record.EndTypeMismatch)
		return p.takeAnew(id, r, now, false)
	}
	rename(r, now)
	r.Outcome.Started = r.Started
	return Arrival{Next: Deliver, Changed: true, Renamed: true}, nil
}

// takeAnew begins a round for another activity.
func (p Policy) takeAnew(id string, r, now *record.Record, remember bool) (Arrival, error) {
	p.newRound(id, r, remember)
	r.Details, r.ServerDetailsDigest, r.BeatPendingSince, r.DetailsPendingSince = nil, nil, 0, 0 // the details belong to another job
	rename(r, now)
	return Arrival{Next: Run, Changed: true, Renamed: true}, nil
}

// takeWaiting continues the round for another activity, under the same callback
// ID.
func (p Policy) takeWaiting(id string, r, now *record.Record) (Arrival, error) {
	if r.ResultType != now.ResultType {
		return p.takeAnew(id, r, now, false)
	}
	asked := r.HandedOffStarted != 0 || r.Reference != ""
	rename(r, now)
	if r.HandedOffStarted = 0; now.Once && asked {
		r.HandedOffStarted = r.Started
		return Arrival{Changed: true, Renamed: true}, nil
	}
	return Arrival{Next: Run, Changed: true, Renamed: true}, nil
}

// takeSettled handles another activity if the record has an outcome. The
// outcome belongs to the activity for which it was accepted. Temporal's
// evidence shows what happened to the outcome.
func (p Policy) takeSettled(id string, r, now *record.Record, word Word) (Arrival, error) {
	switch {
	case word.Buffered:
		return Arrival{}, fmt.Errorf("%w: how the earlier activity ended is not in its history yet", ErrKeyInUse)
	case word.End == record.EndDelivered:
		p.Close(r, record.EndDelivered)
		return p.takeAnew(id, r, now, true)
	case word.End == record.EndUnknown:
		p.notice(r, record.NoticeOver, record.EndUnknown)
		return p.takeAnew(id, r, now, true) // the outcome may have been delivered, so a repeat of it does not answer this activity
	default:
		p.notice(r, record.NoticeOver, word.End)
		return p.takeAnew(id, r, now, false)
	}
}

// sameRun reports whether two records belong to activities of one run.
func sameRun(a, b *record.Record) bool {
	return a.RunId == b.RunId && a.ActivityRunId == b.ActivityRunId
}

// owner identifies the activity that owns a business key while it is pending.
func owner(r *record.Record) string {
	if r.WorkflowId != "" {
		return "workflow/" + r.WorkflowId
	}
	return "activity/" + r.ActivityId
}
