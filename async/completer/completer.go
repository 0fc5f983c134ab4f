package completer

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
)

// Completer reports outcomes and heartbeats to Temporal. Its methods may be
// called concurrently.
//
// The errors [ErrOver], [ErrNotStarted], [ErrCancelNotRequested], [ErrRefused]
// and [ErrCallRefused] are definite. Any other error leaves the effect of the
// call unknown; retry with the same arguments.
type Completer interface {
	// Complete ends the target with the outcome. Nil means that Temporal has
	// accepted it. ErrOver means that the attempt or the activity is over or
	// unknown; it does not say how it ended.
	//
	// Before it completes by ID, the caller must have called Describe: Temporal
	// cannot distinguish an activity from a later one with the same ID in the
	// same run.
	Complete(ctx context.Context, t Target, o Outcome) error

	// Heartbeat records a heartbeat of one attempt, with details that replace
	// the earlier ones, and returns the signals that stand. ErrOver means that
	// the attempt is over.
	Heartbeat(ctx context.Context, t Target, details *commonpb.Payloads) (Signals, error)

	// Describe returns what Temporal knows of the activity that was scheduled
	// at t.Scheduled, and of no other with the same ID. It does not use the
	// token. mark is that of the outcome that the caller wants to recognize, or
	// empty.
	Describe(ctx context.Context, t Target, mark string) (Status, error)
}

// Converting is an optional interface of a [Completer] that knows how its
// workers encode. A hub takes its converters from it, and refuses others.
type Converting interface {
	// Converters returns the converters of the workers. Neither is nil.
	Converters() (converter.DataConverter, converter.FailureConverter)
}

// Target is one attempt of an activity if TaskToken is set, otherwise the
// activity. RunID is set for an activity of a workflow, ActivityRunID for a
// standalone one. A task token is an address and not a credential, but it is
// enough to answer: it is never printed.
type Target struct {
	Namespace, WorkflowID, WorkflowType, RunID string
	ActivityID, ActivityType, ActivityRunID    string
	TaskQueue                                  string
	TaskToken                                  []byte `json:"-"`
	Scheduled, Started                         time.Time
}

// Standalone reports whether a client started the activity, and not a workflow.
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

// Outcome is how an activity ends, encoded. A Completer sends it unchanged.
// Exactly one of Result, Failure and Canceled is set. A Result without payloads
// means that the activity returns no result.
type Outcome struct {
	Result   *commonpb.Payloads `json:"-"`
	Failure  *failurepb.Failure `json:"-"`
	Canceled *commonpb.Payloads `json:"-"`
	// Mark identifies this outcome among equal ones. Its first letter is the
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

// Signals are what Temporal answers to a heartbeat. Several may be set.
type Signals struct{ CancelRequested, Paused, Reset bool }

// Status is what Temporal knows of an activity.
type Status struct {
	// Pending means that the activity is not over. Then the fields up to
	// LastHeartbeat describe it. Otherwise End does.
	Pending         bool
	Running         bool // an attempt is running
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

// String says whether the activity is pending and running, without details and
// failures.
func (s Status) String() string {
	if !s.Pending {
		return fmt.Sprintf("over, end %d", s.End)
	}
	return fmt.Sprintf("pending, running %v", s.Running)
}

// GoString is String, so that %#v prints neither details nor failures.
func (s Status) GoString() string { return s.String() }

// End is the evidence of how an activity that is no longer pending ended.
type End int

const (
	// EndUnknown means that the activity's history is gone.
	EndUnknown End = iota
	// EndBuffered means that the activity has ended, and that Temporal has not
	// written the event yet.
	EndBuffered
	// EndOurs means that the outcome with the mark that was asked for ended it.
	EndOurs
	// EndTimedOut means that one of its timeouts ended it.
	EndTimedOut
	// EndOther means that another outcome ended it, or the end of its workflow.
	EndOther
)
