package facts

import (
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// timed are the options of an activity that times out and is not retried.
func timed(d time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		ScheduleToCloseTimeout: d,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	}
}

// pass waits until an activity that starts now without a worker has timed out.
// The timeout of that activity is 2d, so the server's timers are well past d.
func pass(t *testing.T, r *rig.Rig, d time.Duration) {
	t.Helper()
	o := timed(2 * d)
	o.TaskQueue = r.Queue + "-nobody"
	wantError[*temporal.TimeoutError](t, "the witness", r.Start(awaitDecision, o).Get(r.Context(), nil))
}

// While an activity is paused, its timers stand still. A completion is
// accepted, even after schedule-to-close.
func TestPauseStopsTimers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, timed(soon))
	info := r.Next()
	r.Pause(info)
	pass(t, r, soon)
	wantNil(t, "the answer", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

// UpdateActivityOptions moves the deadlines of an activity.
func TestUpdateOptionsMovesDeadlines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, timed(soon))
	info := r.Next()
	r.ExtendScheduleToClose(info, time.Hour)
	pass(t, r, soon)
	wantNil(t, "the answer", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

// The activity is paused in backoff: no attempt begins, and a completion by ID
// is accepted.
func TestPausedInBackOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := patient()
	o.RetryPolicy.InitialInterval = time.Second
	run, info := startAndPauseInBackOff(t, r, o)
	pass(t, r, time.Second)
	r.None()
	wantNil(t, "completion by ID", r.Client.CompleteActivityByID(r.Context(), r.Namespace, run.GetID(), run.GetRunID(), info, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

func startAndPauseInBackOff(t *testing.T, r *rig.Rig, o workflow.ActivityOptions) (run client.WorkflowRun, activityID string) {
	t.Helper()
	run = r.Start(awaitDecision, o)
	info := r.Next()
	r.Pause(info)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, later()))
	r.AwaitPending(run, "paused", func(p *workflowpb.PendingActivityInfo) bool {
		return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_PAUSED
	})
	return run, info.ActivityID
}
