package facts

import (
	"context"
	"errors"
	"fmt"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// An error has context.Canceled or a CanceledError anywhere among its causes.
// The SDK sends the error as a cancellation, the server refuses the
// cancellation, and the failure is lost.
func TestFailureWithCancellationInside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, err := range map[string]error{
		"context.Canceled": fmt.Errorf("ask the bank: %w", context.Canceled),
		"CanceledError":    temporal.NewApplicationErrorWithCause("ask the bank", "", temporal.NewCanceledError()),
	} {
		run := r.Start(awaitDecision, patient())
		wantError[*serviceerror.InvalidArgument](t, name, r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, nil, err))
		if p := r.Pending(run); p.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED || p.GetAttempt() != 1 || p.GetLastFailure() != nil {
			t.Errorf("%s: pending %v, want the activity to run on as if nothing had been said", name, p)
		}
	}
}

// If a failure with a cancellation inside is forced through as a failure, the
// workflow ends as cancelled.
func TestCancellationForcedThrough(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	failure := failureFrom("")
	failure.GetApplicationFailureInfo().NonRetryable = true
	failure.Cause = &failurepb.Failure{FailureInfo: &failurepb.Failure_CanceledFailureInfo{CanceledFailureInfo: &failurepb.CanceledFailureInfo{}}}
	wantNil(t, "failure with a cancellation as its cause", fail(r, r.Next(), failure))
	wantError[*temporal.CanceledError](t, "workflow's result", run.Get(r.Context(), nil))
	if status := r.Describe(run).GetWorkflowExecutionInfo().GetStatus(); status != enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED {
		t.Errorf("workflow ended as %v, want cancelled", status)
	}
	if r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED) == nil {
		t.Error("want in history: the activity failed")
	}
}

// The workflow requests cancellation of an activity without a heartbeat
// timeout. A client's heartbeat still learns of the request.
func TestCancelWithoutHeartbeatTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	if info.HeartbeatTimeout != 0 {
		t.Fatalf("heartbeat timeout %v, want none", info.HeartbeatTimeout)
	}
	requestCancel(t, r, run)
	wantError[*temporal.CanceledError](t, "heartbeat", r.Client.RecordActivityHeartbeat(r.Context(), info.TaskToken))
}

// A cancellation without a request is refused, and the activity continues.
func TestCancelNotRequested(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	canceled := temporal.NewCanceledError()
	wantError[*serviceerror.InvalidArgument](t, "by token", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, canceled))
	wantError[*serviceerror.InvalidArgument](t, "by ID", completeByID(r, info, nil, canceled))
	wantNil(t, "the answer after it", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

// The workflow cancels the activity without waiting for it. A completion is
// then accepted, and the workflow never reads it.
func TestAnswerAfterCancelIsNotRead(t *testing.T) {
	t.Parallel()
	const abandon = "abandon"
	r := newRig(t, func(w worker.Registry) {
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context, o workflow.ActivityOptions) (string, error) {
			inner, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, o))
			answer := workflow.ExecuteActivity(inner, rig.Activity)
			signals := workflow.GetSignalChannel(ctx, "signal")
			signals.Receive(ctx, nil)
			cancel()
			before := answer.Get(ctx, nil)
			signals.Receive(ctx, nil)
			var d decision
			after := answer.Get(ctx, &d)
			return fmt.Sprint(temporal.IsCanceledError(before), temporal.IsCanceledError(after), d), nil
		}, workflow.RegisterOptions{Name: abandon})
	})
	o := patient()
	o.WaitForCancellation = false
	run := r.Start(abandon, o)
	info := r.Next()
	signal := func() {
		if err := r.Client.SignalWorkflow(r.Context(), run.GetID(), run.GetRunID(), "signal", nil); err != nil {
			t.Fatal(err)
		}
	}
	signal()
	r.AwaitPending(run, "cancellation requested", func(p *workflowpb.PendingActivityInfo) bool {
		return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
	})
	wantNil(t, "the answer", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	rig.Eventually(t, "the answer in history", func() bool {
		return r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED) != nil
	})
	signal()
	if got, want := result[string](t, r, run), fmt.Sprint(true, true, decision{}); got != want {
		t.Errorf("the workflow read %q, want %q", got, want)
	}
}

// Cancellation is requested, and then the activity is reset. The request
// remains, and a cancellation by token is accepted at attempt 1.
func TestCancelThenReset(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	requestCancel(t, r, run)
	r.Reset(info)
	if p := r.Pending(run); p.GetState() != enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED {
		t.Errorf("state after the reset %v, want the request to stand", p.GetState())
	}
	wantNil(t, "cancellation after the reset", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, temporal.NewCanceledError()))
	wantError[*temporal.CanceledError](t, "workflow's result", run.Get(r.Context(), nil))
}

// Cancellation is requested in backoff: the server itself closes the activity
// at once.
func TestCancelInBackOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, nil, later()))
	r.AwaitPending(run, "back-off", rig.BackOff(2))
	if err := r.Client.CancelWorkflow(r.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	wantError[*temporal.CanceledError](t, "workflow's result", run.Get(r.Context(), nil))
	if r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED) == nil {
		t.Error("want in history: the activity cancelled")
	}
}

// Cancellation is requested, and then a failure is sent. The failure is
// accepted and not retried, even if it is retryable, and the workflow gets it.
func TestCancelThenFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	requestCancel(t, r, run)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, again()))
	err := run.Get(r.Context(), nil)
	if failure, ok := errors.AsType[*temporal.ActivityError](err); !ok || failure.RetryState() != enumspb.RETRY_STATE_CANCEL_REQUESTED {
		t.Errorf("workflow's result %v, want the failure, not retried since a cancellation was requested", err)
	}
}
