package async

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
)

// Completer reports outcomes to Temporal. [ClientCompleter] is the one that
// does; asynctest has one for tests.
//
// Its methods may be called by any number of goroutines. Every error that is
// none of [ErrOver], [ErrNotStarted], [ErrCancelNotRequested] and
// [ErrRefused] means that it isn't known whether the call had an effect, and
// that it may be tried again.
type Completer interface {
	// Complete ends the target with this outcome. Nil means that Temporal
	// has taken it. ErrOver answers a target that isn't there: an attempt
	// that is over, an activity that is; it says nothing of how it ended.
	//
	// By IDs, the caller has asked Describe before: Temporal doesn't tell an
	// activity from a later one of the same ID in the same run.
	Complete(ctx context.Context, t Target, o Outcome) error

	// Heartbeat records a heartbeat of one attempt, with these details in
	// place of those before, and tells all signals that stand. ErrOver means
	// that the attempt is over.
	Heartbeat(ctx context.Context, t Target, details *commonpb.Payloads) (Signals, error)

	// Describe tells what Temporal knows of the activity that was scheduled
	// at t.Scheduled, and of no other with the same ID; the token isn't used.
	// mark is that of the outcome which the caller wants to recognise, or
	// empty.
	Describe(ctx context.Context, t Target, mark string) (Status, error)
}

// Target is one attempt of an activity where TaskToken is set, and else the
// activity. RunID is set for an activity of a workflow, ActivityRunID for a
// standalone one. A task token is an address and no credential, but who has
// one can answer: it is never printed.
type Target struct {
	Namespace, WorkflowID, WorkflowType, RunID string
	ActivityID, ActivityType, ActivityRunID    string
	TaskQueue                                  string
	TaskToken                                  []byte `json:"-"`
	Scheduled, Started                         time.Time
}

// Standalone reports whether the activity was started by a client and not by
// a workflow.
func (t Target) Standalone() bool { return t.WorkflowID == "" }

// ByID returns the target without its token: the activity, whatever attempt.
func (t Target) ByID() Target {
	t.TaskToken = nil
	return t
}

// String names the target, without its token.
func (t Target) String() string {
	how := "by ID"
	if t.TaskToken != nil {
		how = "by token"
	}
	return fmt.Sprintf("activity %q of workflow %q, %s", t.ActivityID, t.WorkflowID, how)
}

// GoString is String, so that %#v doesn't print the token.
func (t Target) GoString() string { return t.String() }

// Outcome is how an activity ends, encoded, and sent as it is. Exactly one of
// the first three is set; a result without payloads is no result.
type Outcome struct {
	Result   *commonpb.Payloads `json:"-"`
	Failure  *failurepb.Failure `json:"-"`
	Canceled *commonpb.Payloads `json:"-"`
	// Mark tells this outcome from an equal one. Its first letter is the
	// outcome's kind: r, f or c.
	Mark string
}

// String names the outcome's kind, without its content.
func (o Outcome) String() string {
	switch {
	case o.Failure != nil:
		return "failure"
	case o.Canceled != nil:
		return "cancellation"
	default:
		return "result"
	}
}

// GoString is String, so that %#v doesn't print the content.
func (o Outcome) GoString() string { return o.String() }

// Signals are what Temporal answers to a heartbeat. Several may stand.
type Signals struct{ CancelRequested, Paused, Reset bool }

// Status is what Temporal knows of an activity.
type Status struct {
	// Pending: it is not over. The fields up to LastHeartbeat speak of it
	// then, and End does otherwise.
	Pending         bool
	Running         bool // an attempt is under way
	CancelRequested bool
	Paused          bool
	Started         time.Time // of the running attempt
	LastMark        string    // of the failure that ended the attempt before
	// LastFailure is the failure that ended the attempt before, as the server
	// has it. Its text may be encoded, and may be the application's secret.
	LastFailure   *failurepb.Failure `json:"-"`
	Details       *commonpb.Payloads `json:"-"` // of the last heartbeat
	LastHeartbeat time.Time
	End           End
}

// String tells whether the activity is pending and running, without details
// and failures.
func (s Status) String() string {
	if !s.Pending {
		return fmt.Sprintf("over, end %d", s.End)
	}
	return fmt.Sprintf("pending, running %v", s.Running)
}

// GoString is String, so that %#v prints neither details nor
// failures.
func (s Status) GoString() string { return s.String() }

// End is the evidence of how an activity that is no longer pending ended.
type End int

const (
	// EndUnknown: its history is gone.
	EndUnknown End = iota
	// EndBuffered: it has ended, and the event isn't written yet.
	EndBuffered
	// EndOurs: with the outcome that has the mark asked for.
	EndOurs
	// EndTimedOut: by one of its time-outs.
	EndTimedOut
	// EndOther: by another outcome, or with its workflow.
	EndOther
)
