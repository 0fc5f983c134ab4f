package facts

import (
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// mark is the source of a failure.
const mark = "latchkey:facts"

// The event of an activity's end contains the identity of the call that ended
// it. The event of the end also contains the source of the failure.
func TestIdentityInHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)

	run := r.Start(awaitDecision, patient())
	_, err := r.Service().RespondActivityTaskCompleted(r.Context(), &workflowservice.RespondActivityTaskCompletedRequest{
		Namespace: r.Namespace, TaskToken: r.Next().TaskToken, Identity: ours,
	})
	wantNil(t, "completion", err)
	result[decision](t, r, run)
	if got := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED).GetActivityTaskCompletedEventAttributes().GetIdentity(); got != ours {
		t.Errorf("completed by %q, want %q", got, ours)
	}

	run = r.Start(awaitDecision, patient())
	failure := failureFrom(mark)
	failure.GetApplicationFailureInfo().NonRetryable = true
	wantNil(t, "failure", fail(r, r.Next(), failure))
	_ = run.Get(r.Context(), nil) // fails with it
	failed := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED).GetActivityTaskFailedEventAttributes()
	if failed.GetIdentity() != ours || failed.GetFailure().GetSource() != mark {
		t.Errorf("failed by %q with source %q, want %q and %q", failed.GetIdentity(), failed.GetFailure().GetSource(), ours, mark)
	}

	run = r.Start(awaitDecision, patient())
	info := r.Next()
	requestCancel(t, r, run)
	_, err = r.Service().RespondActivityTaskCanceled(r.Context(), &workflowservice.RespondActivityTaskCanceledRequest{
		Namespace: r.Namespace, TaskToken: info.TaskToken, Identity: ours,
	})
	wantNil(t, "cancellation", err)
	_ = run.Get(r.Context(), nil) // the cancellation of the activity cancels the workflow
	if got := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED).GetActivityTaskCanceledEventAttributes().GetIdentity(); got != ours {
		t.Errorf("cancelled by %q, want %q", got, ours)
	}
}

// A retried failure leaves no event. The source of a retried failure is in the
// pending activity's last failure. After the activity has ended, it is in the
// event of the last attempt's start, which is written at that time.
func TestRetriedFailureInHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := patient()
	o.RetryPolicy.InitialInterval = 10 * time.Millisecond
	run := r.Start(awaitDecision, o)
	wantNil(t, "failure", fail(r, r.Next(), failureFrom(mark)))
	second := r.Next()
	if got := r.Pending(run).GetLastFailure().GetSource(); got != mark {
		t.Errorf("pending, last failure from %q, want %q", got, mark)
	}
	if r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED) != nil || r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED) != nil {
		t.Error("a start or a failure is in history while attempt 2 runs, want none")
	}
	wantNil(t, "completion", r.Client.CompleteActivity(r.Context(), second.TaskToken, approved, nil))
	result[decision](t, r, run)
	started := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED).GetActivityTaskStartedEventAttributes()
	if started.GetAttempt() != 2 || started.GetLastFailure().GetSource() != mark {
		t.Errorf("event of the start: attempt %d after a failure from %q, want 2 and %q", started.GetAttempt(), started.GetLastFailure().GetSource(), mark)
	}
}

// A timeout after a retryable failure has that failure as its cause. The
// timeout contains no identity.
func TestTimeoutAfterFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := patient()
	o.ScheduleToCloseTimeout = soon
	o.RetryPolicy.InitialInterval = 10 * time.Millisecond
	run := r.Start(awaitDecision, o)
	wantNil(t, "failure", fail(r, r.Next(), failureFrom(mark)))
	wantError[*temporal.TimeoutError](t, "workflow's result", run.Get(r.Context(), nil))
	failure := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT).GetActivityTaskTimedOutEventAttributes().GetFailure()
	if failure.GetTimeoutFailureInfo().GetTimeoutType() != enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE || failure.GetCause().GetSource() != mark {
		t.Errorf("timed out with %v, want schedule-to-close, and a cause from %q", failure, mark)
	}
}

// A retryable failure that leaves no time for another attempt ends the activity
// as failed, not as timed out.
func TestNoTimeForRetry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := patient()
	o.ScheduleToCloseTimeout = time.Minute // the retry would be in an hour
	run := r.Start(awaitDecision, o)
	wantNil(t, "failure", fail(r, r.Next(), failureFrom(mark)))
	wantError[*temporal.ApplicationError](t, "workflow's result", run.Get(r.Context(), nil))
	failed := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED).GetActivityTaskFailedEventAttributes()
	if failed.GetIdentity() != ours || failed.GetFailure().GetSource() != mark || failed.GetRetryState() != enumspb.RETRY_STATE_TIMEOUT {
		t.Errorf("failed: %v, want it by %q, from %q, and no time left", failed, ours, mark)
	}
}

// If a completion arrives while no attempt runs, the server writes a start
// event itself, with the identity of the call.
func TestForcedCompletionInHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	wantNil(t, "failure", fail(r, info, failureFrom(mark)))
	r.AwaitPending(run, "back-off", rig.BackOff(2))
	_, err := r.Service().RespondActivityTaskCompletedById(r.Context(), &workflowservice.RespondActivityTaskCompletedByIdRequest{
		Namespace: r.Namespace, WorkflowId: run.GetID(), RunId: run.GetRunID(), ActivityId: info.ActivityID, Identity: ours,
	})
	wantNil(t, "completion by ID", err)
	result[decision](t, r, run)
	started := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED).GetActivityTaskStartedEventAttributes()
	completed := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED).GetActivityTaskCompletedEventAttributes()
	if started.GetIdentity() != ours || started.GetAttempt() != 2 || completed.GetIdentity() != ours {
		t.Errorf("started %v, completed %v; want both by %q, at attempt 2", started, completed, ours)
	}
}
