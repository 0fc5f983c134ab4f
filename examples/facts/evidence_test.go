package facts

import (
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// mark is what a failure's source carries.
const mark = "latchkey:facts"

// The identity of the call that ended an activity stands in the event of its
// end; and a failure's source in the event.
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
	_ = run.Get(r.Context(), nil) // is cancelled by it
	if got := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED).GetActivityTaskCanceledEventAttributes().GetIdentity(); got != ours {
		t.Errorf("cancelled by %q, want %q", got, ours)
	}
}

// A retried failure leaves no event. Its source is seen in the pending
// activity's last failure, and once the activity has ended, in the event of its
// last attempt's start, which is written then.
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

// A time-out after a retryable failure carries that failure as its cause. It
// names no identity.
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

// A completion while no attempt runs has the server write a start of its own,
// with the identity of the call.
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
