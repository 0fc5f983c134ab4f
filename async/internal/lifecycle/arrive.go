package lifecycle

import "github.com/latchkey-go/latchkey/async/internal/record"

// Next is what Start does once an attempt has arrived at its entry.
type Next int

const (
	// Nothing: the function has run, or nothing is due.
	Nothing Next = iota
	// Run the function.
	Run
	// Deliver the outcome that stands.
	Deliver
	// DescribeArriving: ask Temporal about the activity by the attempt that
	// arrives, and call the rule again with its word.
	DescribeArriving
	// DescribeEarlier: the same about the activity that the record is of.
	DescribeEarlier
)

// Words are what Temporal has said so far; nil where it wasn't asked.
type Words struct{ Arriving, Earlier *Word }

// Arrival is the decision on an attempt that arrives.
type Arrival struct {
	Next    Next
	Changed bool // the record, which is to be saved before
	// First: the outcome can't have been sent to this attempt before.
	First bool
	// Renamed: the record is another activity's now. What a codec has bound to
	// the activity before is to be encoded for this one.
	Renamed bool
	// Mismatch: an outcome was dropped, because the activity awaits another type.
	Mismatch bool
}

// Arrive brings an attempt to its entry. now is a record as if this attempt
// were the first.
//
// Attempts are ordered by when they started, never by number: a reset sets
// numbers back.
func (p Policy) Arrive(id string, r, now *record.Record, said Words) (Arrival, error) {
	if r.Key != "" && (r.Early || !SameActivity(r, now)) {
		return p.takeOver(id, r, now, said)
	}
	later, same := now.Started > r.Started, now.Started == r.Started
	switch {
	case !later && !same:
		return Arrival{}, nil
	case needsWord(r, now) && said.Arriving == nil && p.CanAsk:
		return Arrival{Next: DescribeArriving}, nil
	}
	switch r.State {
	case record.Waiting:
		return p.arriveWaiting(id, r, now)
	case record.Settled:
		if !later {
			bringToken(r, now)
			return Arrival{Next: Deliver, Changed: true}, nil // the claim is written
		}
		if r.ResultType != now.ResultType {
			return p.dropType(id, r, now, said.Arriving)
		}
		return p.arriveSettled(id, r, now, said.Arriving)
	case record.Closed:
		return p.arriveClosed(id, r, now, said.Arriving)
	default:
		return Arrival{}, ErrNewer
	}
}

// again begins a round, in which the function runs.
func (p Policy) again(id string, r, now *record.Record, remember bool) (Arrival, error) {
	p.newRound(id, r, remember)
	adopt(r, now)
	return Arrival{Next: Run, Changed: true}, nil
}

func (p Policy) arriveWaiting(id string, r, now *record.Record) (Arrival, error) {
	if r.ResultType != now.ResultType {
		return p.again(id, r, now, true)
	}
	if now.Started == r.Started {
		a := Arrival{Changed: bringToken(r, now)}
		if r.HandedOffStarted != r.Started {
			a.Next = Run // no function is known to have returned
		}
		return a, nil
	}
	asked := r.HandedOffStarted != 0 || r.Reference != ""
	adopt(r, now)
	if now.Once && asked {
		r.HandedOffStarted = r.Started
		return Arrival{Changed: true}, nil
	}
	return Arrival{Next: Run, Changed: true}, nil
}

// arriveClosed: a delivered failure ended the attempt that it was sent to.
// Another end that left an outcome undelivered was none, since here is an
// attempt.
func (p Policy) arriveClosed(id string, r, now *record.Record, word *Word) (Arrival, error) {
	failed := r.End == record.EndDelivered && r.Outcome.GetKind() == record.Failure
	switch {
	case failed && now.Started > r.Outcome.Started:
		return p.again(id, r, now, true)
	case now.Started == r.Started, r.End == record.EndDelivered:
		return Arrival{}, nil
	case !revives(r, now):
		return p.again(id, r, now, false)
	}
	return p.arriveSettled(id, r, now, word)
}

// dropType: a result of another type is never delivered, unless it has been.
func (p Policy) dropType(id string, r, now *record.Record, word *Word) (Arrival, error) {
	if word != nil && word.Ours(r.Outcome.Mark) {
		p.Close(r, record.EndDelivered)
		return p.arriveClosed(id, r, now, nil)
	}
	// A repeat is superseded: the outcome was never reported.
	p.notice(r, record.NoticeOver, record.EndTypeMismatch)
	a, err := p.again(id, r, now, false)
	a.Mismatch = true
	return a, err
}

// arriveSettled brings a later attempt to an outcome of the type that it awaits.
func (p Policy) arriveSettled(id string, r, now *record.Record, word *Word) (Arrival, error) {
	failure := r.Outcome.Kind == record.Failure
	if failure {
		switch fateOf(r, now, word) {
		case fateUnresolved:
			return Arrival{}, ErrUnresolved
		case fateTaken:
			withdrawOver(r)
			p.Close(r, record.EndDelivered)
			return p.again(id, r, now, true)
		case fateSpent:
			if r.State == record.Settled {
				p.notice(r, record.NoticeOver, record.EndUnknown)
			}
			return p.again(id, r, now, true) // a repeat is known
		}
	}
	if r.State == record.Closed { // it was not over after all
		r.State = record.Settled
		r.Ended, r.End = 0, record.NoEnd
		withdrawOver(r)
	}
	adopt(r, now)
	if failure {
		r.Outcome.Started = r.Started // written before it is sent to this attempt
	}
	return Arrival{Next: Deliver, Changed: true, First: failure}, nil
}

// needsWord reports whether the decision on a later attempt needs Temporal's
// word on the outcome: the attempt awaits another type and would drop it, or it
// is a failure that may have ended the attempt before.
func needsWord(r, now *record.Record) bool {
	if r.Outcome == nil || now.Started <= r.Started {
		return false
	}
	failure := r.Outcome.Kind == record.Failure
	switch r.State {
	case record.Settled:
		return failure || r.ResultType != now.ResultType
	case record.Closed:
		return failure && revives(r, now)
	default:
		return false
	}
}

// revives reports whether a later attempt shows that a closed record's activity
// was not over, so that its outcome is to be delivered after all.
func revives(r, now *record.Record) bool {
	return r.Outcome != nil && r.End != record.EndDelivered && r.End != record.EndAbandoned && r.ResultType == now.ResultType
}

// fate is what becomes of a failure that was accepted when a later attempt
// arrives.
type fate int

const (
	fateUnresolved fate = iota // Temporal can't say now, or doesn't run this attempt
	fateTaken                  // it has ended an attempt before
	fateUntaken                // it has ended none, and is delivered to this one
	fateSpent                  // it may have ended one, and this one asks in any case
)

// fateOf judges a failure by the last failure that Temporal has.
//
// The record is of the attempt that the failure may have been sent to. If this
// attempt followed that one directly, Temporal's last failure is that of that
// one. If others lie between, or a reset renumbered them, the last failure says
// nothing. Then the failure is spent: it asks for another attempt that asks, and
// here is one. A non-retryable failure was not taken, since no attempt follows
// one that was.
func fateOf(r, now *record.Record, word *Word) fate {
	switch {
	case word == nil || !word.Pending:
		return fateUnresolved
	case word.LastMark == r.Outcome.Mark:
		return fateTaken
	case !word.Runs(now):
		return fateUnresolved
	case r.Outcome.NonRetryable:
		return fateUntaken
	case now.Attempt == r.Attempt+1 && r.Outcome.Started == r.Started && !r.Outcome.Outrun && !r.ResetRequested:
		return fateUntaken
	default:
		return fateSpent
	}
}

// Outrun says that numbers don't tell any more which attempt followed that of the
// record's failure: a reset has renumbered it, or a later attempt began, and
// failed because the fate of the failure could not be resolved. It reports
// whether the record changed.
func Outrun(r *record.Record) bool {
	if r.Outcome == nil || r.Outcome.Outrun {
		return false
	}
	r.Outcome.Outrun = true
	return true
}
