package completer

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
)

// Completer reports outcomes and heartbeats to Temporal. The methods of a
// Completer may be called concurrently.
//
// The errors [ErrOver], [ErrNotStarted], [ErrCancelNotRequested], [ErrRefused]
// and [ErrCallRefused] are definite. Any other error leaves the effect of the
// call unknown; retry with the same arguments.
type Completer interface {
	// Complete ends the target with the outcome. Nil means that Temporal has
	// accepted the outcome. ErrOver means that the attempt or the activity is
	// over or unknown; the error does not say how it ended.
	//
	// Before a caller completes by ID, it must have called Describe: Temporal
	// cannot distinguish an activity from a later one with the same ID in the
	// same run.
	Complete(ctx context.Context, t Target, o Outcome) error

	// Heartbeat records a heartbeat of one attempt, with details that replace
	// the earlier ones. Heartbeat returns the signals that are in force.
	// ErrOver means that the attempt is over.
	Heartbeat(ctx context.Context, t Target, details *commonpb.Payloads) (Signals, error)

	// Describe returns Temporal's state of the activity that was scheduled at
	// t.Scheduled, and of no other activity with the same ID. Describe does not
	// use the token. mark is the mark of the outcome that the caller wants to
	// recognize, or empty.
	Describe(ctx context.Context, t Target, mark string) (Status, error)
}

// Converting is an optional interface of a [Completer] that knows the
// converters of its workers. A hub takes its converters from a Converting
// completer, and refuses other converters in its options.
type Converting interface {
	// Converters returns the converters of the workers. Neither is nil.
	Converters() (converter.DataConverter, converter.FailureConverter)
}

// Target is one attempt of an activity if TaskToken is set, otherwise the
// activity. RunID is set for an activity of a workflow, ActivityRunID for a
// standalone one. A task token is an address and not a credential, but an
// attacker can answer with it. A task token is never printed.
type Target struct {
	Namespace, WorkflowID, WorkflowType, RunID string
	ActivityID, ActivityType, ActivityRunID    string
	TaskQueue                                  string
	TaskToken                                  []byte `json:"-"`
	Scheduled, Started                         time.Time
}

// Standalone reports whether a client started the activity. If Standalone
// returns false, a workflow started the activity.
func (t Target) Standalone() bool { return t.WorkflowID == "" }

// ByID returns the target without its token: the activity, without regard to
// the attempt.
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

// GoString returns String, so that %#v does not print the token.
func (t Target) GoString() string { return t.String() }

// Outcome is the encoded end of an activity. A Completer sends an Outcome
// unchanged. Exactly one of Result, Failure and Canceled is set. A Result
// without payloads means that the activity returns no result.
type Outcome struct {
	Result   *commonpb.Payloads `json:"-"`
	Failure  *failurepb.Failure `json:"-"`
	Canceled *commonpb.Payloads `json:"-"`
	// Mark distinguishes this outcome from equal ones. The first letter of a
	// mark is the outcome's kind: r, f or c.
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

// GoString returns String, so that %#v does not print the content.
func (o Outcome) GoString() string { return o.String() }

// Signals is Temporal's reply to a heartbeat. Several signals may be set.
type Signals struct{ CancelRequested, Paused, Reset bool }

// Status is Temporal's state of an activity.
type Status struct {
	// Pending means that the activity is not over. If Pending is set, the
	// fields up to LastHeartbeat describe the activity. Otherwise End does.
	Pending         bool
	Running         bool // an attempt is running
	CancelRequested bool
	Paused          bool
	Started         time.Time // start of the running attempt
	LastMark        string    // mark of the failure that ended the previous attempt
	// LastFailure is the failure that ended the previous attempt, as the server
	// stores it. The text of LastFailure may be encoded, and may be a secret of
	// the application.
	LastFailure   *failurepb.Failure `json:"-"`
	Details       *commonpb.Payloads `json:"-"` // details of the last heartbeat
	LastHeartbeat time.Time
	End           End
}

// String says whether the activity is pending and running, without details and
// failures.
func (s Status) String() string {
	if !s.Pending {
		return fmt.Sprintf("over, end %d", s.End)
	}
	return fmt.Sprintf("pending, running %v", s.Running)
}

// GoString returns String, so that %#v prints neither details nor failures.
func (s Status) GoString() string { return s.String() }

// End is the evidence of how an activity that is no longer pending ended.
type End int

const (
	// EndUnknown means that the activity's history is gone.
	EndUnknown End = iota
	// EndBuffered means that the activity has ended, and that Temporal has not
	// written the event yet.
	EndBuffered
	// EndOurs means that the outcome with the requested mark ended the
	// activity.
	EndOurs
	// EndTimedOut means that a timeout of the activity ended it.
	EndTimedOut
	// EndOther means that another outcome ended the activity, or that its
	// workflow ended.
	EndOther
)
