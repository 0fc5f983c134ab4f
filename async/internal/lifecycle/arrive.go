package lifecycle

import "github.com/latchkey-go/latchkey/async/internal/record"

// Next is the next step of Start after an attempt has arrived at its entry.
type Next int

const (
	// Nothing: the function has already run, or there is nothing to do.
	Nothing Next = iota
	// Run: run the function.
	Run
	// Deliver: deliver the outcome of the record.
	Deliver
	// DescribeArriving: ask Temporal about the activity of the arriving
	// attempt, and call the rule again with the answer.
	DescribeArriving
	// DescribeEarlier: ask Temporal about the activity of the record, and call
	// the rule again with the answer.
	DescribeEarlier
)

// Words are Temporal's answers so far; a nil answer was not requested.
type Words struct{ Arriving, Earlier *Word }

// Arrival is the decision about an arriving attempt.
type Arrival struct {
	Next    Next
	Changed bool // the record has changed and must be saved before the next step
	// First: the outcome cannot have been sent to this attempt before.
	First bool
	// Renamed: the record now belongs to another activity. Payloads that a
	// codec has bound to the earlier activity must be encoded again for this
	// one.
	Renamed bool
	// Mismatch: an outcome was dropped, because the activity awaits another type.
	Mismatch bool
}

// Arrive decides about an attempt that arrives at its entry. now is the record
// of this attempt as if it were the first.
//
// Attempts are ordered by their start and never by their number, because a
// reset sets the number back.
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

// arriveClosed handles an attempt that arrives at a closed record. A delivered
// failure ended the attempt that got it. If the record says that the activity
// ended without the record's outcome, the record is wrong, because another
// attempt has arrived.
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

// dropType drops a result of a type that the attempt does not await, unless the
// result has already been delivered.
func (p Policy) dropType(id string, r, now *record.Record, word *Word) (Arrival, error) {
	if word != nil && word.Ours(r.Outcome.Mark) {
		p.Close(r, record.EndDelivered)
		return p.arriveClosed(id, r, now, nil)
	}
	// A repeat gets ErrSuperseded, because the outcome was never reported.
	p.notice(r, record.NoticeOver, record.EndTypeMismatch)
	a, err := p.again(id, r, now, false)
	a.Mismatch = true
	return a, err
}

// arriveSettled handles a later attempt if the record has an outcome of the
// type that the attempt awaits.
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
			return p.again(id, r, now, true) // a repeat is recognized
		}
	}
	if r.State == record.Closed { // the activity was not over
		r.State = record.Settled
		r.Ended, r.End = 0, record.NoEnd
		withdrawOver(r)
	}
	adopt(r, now)
	if failure {
		r.Outcome.Started = r.Started // written before the outcome is sent to this attempt
	}
	return Arrival{Next: Deliver, Changed: true, First: failure}, nil
}

// needsWord reports whether the decision about a later attempt needs Temporal's
// answer about the outcome. The rule needs the answer if the attempt awaits
// another type and would drop the outcome, or if the outcome is a failure that
// may have ended the earlier attempt.
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

// revives reports whether a later attempt shows that the activity of a closed
// record was not over. The outcome must then be delivered.
func revives(r, now *record.Record) bool {
	return r.Outcome != nil && r.End != record.EndDelivered && r.End != record.EndAbandoned && r.ResultType == now.ResultType
}

// fate is the state of an accepted failure when a later attempt arrives.
type fate int

const (
	fateUnresolved fate = iota // Temporal cannot say now, or does not run this attempt
	fateTaken                  // the failure has ended an earlier attempt
	fateUntaken                // the failure has ended no attempt, and is delivered to this one
	fateSpent                  // the failure may have ended an attempt, and this attempt asks in any case
)

// fateOf judges a failure by the last failure that Temporal has.
//
// The record is about the attempt to which the failure may have been sent. If
// this attempt directly follows that attempt, Temporal's last failure is the
// failure of that attempt. If other attempts lie between, or if a reset
// renumbered them, the last failure proves nothing. The failure is then spent:
// its purpose was another attempt that asks, and this attempt asks. Temporal
// has not accepted a non-retryable failure if another attempt arrives.
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

// Outrun records that attempt numbers no longer show which attempt followed the
// attempt of the record's failure. Either a reset has renumbered the attempt,
// or a later attempt failed because the fate of the failure could not be
// resolved. Outrun reports whether the record changed.
func Outrun(r *record.Record) bool {
	if r.Outcome == nil || r.Outcome.Outrun {
		return false
	}
	r.Outcome.Outrun = true
	return true
}
