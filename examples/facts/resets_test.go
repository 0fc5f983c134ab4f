package facts

import (
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// runTo starts an activity and fails its attempts until attempt n runs. runTo
// returns all attempts.
func runTo(t *testing.T, r *rig.Rig, o workflow.ActivityOptions, n int32) (client.WorkflowRun, []activity.Info) {
	t.Helper()
	run := r.Start(awaitDecision, o)
	infos := []activity.Info{r.Next()}
	for infos[len(infos)-1].Attempt < n {
		wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), infos[len(infos)-1].TaskToken, nil, again()))
		infos = append(infos, r.Next())
	}
	return run, infos
}

// An activity is reset at attempt 2 or later, while it runs. The attempt number
// goes back to 1, and the old token gets NotFound. The same attempt continues
// to run. The next attempt has number 2.
func TestResetWhileRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := patient()
	o.HeartbeatTimeout = soon
	o.RetryPolicy.InitialInterval = 10 * time.Millisecond
	run, infos := runTo(t, r, o, 3)
	third := infos[2]
	r.Reset(third)
	p := r.Pending(run)
	if p.GetAttempt() != 1 || !p.GetLastStartedTime().AsTime().Equal(third.StartedTime) {
		t.Errorf("pending after the reset: attempt %d started at %v, want attempt 1 started at %v as attempt 3 was",
			p.GetAttempt(), p.GetLastStartedTime().AsTime(), third.StartedTime)
	}
	_, err := beat(r, third)
	wantNotFound(t, "heartbeat by attempt 3's token", err)
	wantNotFound(t, "completion by attempt 3's token", r.Client.CompleteActivity(r.Context(), third.TaskToken, approved, nil))

	next := r.Next() // the next attempt, after the heartbeat timeout
	if next.Attempt != 2 || !next.ScheduledTime.Equal(third.ScheduledTime) || !next.StartedTime.After(third.StartedTime) {
		t.Errorf("the next attempt has number %d, was scheduled at %v and started at %v; want 2, %v, and after %v",
			next.Attempt, next.ScheduledTime, next.StartedTime, third.ScheduledTime, third.StartedTime)
	}
}

// A failure by ID reaches the attempt that was renumbered.
func TestResetThenFailureByID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, infos := runTo(t, r, patient(), 2)
	r.Reset(infos[1])
	wantNotFound(t, "failure by token", r.Client.CompleteActivity(r.Context(), infos[1].TaskToken, nil, again()))
	wantNil(t, "failure by ID", completeByID(r, infos[1], nil, again()))
	if next := r.Next(); next.Attempt != 2 {
		t.Errorf("the next attempt has number %d, want 2", next.Attempt)
	}
}

// An activity is reset in backoff. The next attempt has number 1 again, and the
// first attempt's token is valid again: it can heartbeat for the running
// attempt or complete it.
func TestResetInBackOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run, infos := runTo(t, r, patient(), 2)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), infos[1].TaskToken, nil, later()))
	r.AwaitPending(run, "back-off", rig.BackOff(3))
	r.Reset(infos[1])
	next := r.Next()
	if next.Attempt != 1 || !next.ScheduledTime.Equal(infos[0].ScheduledTime) || !next.StartedTime.After(infos[1].StartedTime) {
		t.Errorf("after the reset attempt %d, scheduled at %v, started at %v; want 1, %v, and after %v",
			next.Attempt, next.ScheduledTime, next.StartedTime, infos[0].ScheduledTime, infos[1].StartedTime)
	}
	wantNotFound(t, "completion by the second token", r.Client.CompleteActivity(r.Context(), infos[1].TaskToken, decision{}, nil))
	_, err := beat(r, infos[0])
	wantNil(t, "heartbeat by the first token", err)
	wantNil(t, "completion by the first token", r.Client.CompleteActivity(r.Context(), infos[0].TaskToken, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

// At attempt 2, an activity is paused, and unpaused with its attempts reset.
// The token of attempt 2 gets NotFound. The token of attempt 1 can heartbeat
// for the running attempt and fail it.
func TestUnpauseWithReset(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run, infos := runTo(t, r, patient(), 2)
	r.Pause(infos[1])
	if _, err := r.Service().UnpauseActivity(r.Context(), &workflowservice.UnpauseActivityRequest{
		Namespace:     r.Namespace,
		Execution:     &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
		Activity:      &workflowservice.UnpauseActivityRequest_Id{Id: infos[1].ActivityID},
		ResetAttempts: true,
	}); err != nil {
		t.Fatal(err)
	}
	_, err := beat(r, infos[1])
	wantNotFound(t, "heartbeat by the second token", err)
	_, err = beat(r, infos[0])
	wantNil(t, "heartbeat by the first token", err)
	wantNil(t, "failure by the first token", r.Client.CompleteActivity(r.Context(), infos[0].TaskToken, nil, later()))
	r.AwaitPending(run, "the running attempt failed", func(p *workflowpb.PendingActivityInfo) bool {
		return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED && p.GetLastFailure().GetMessage() == later().Error()
	})
}
