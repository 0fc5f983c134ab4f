package facts

import (
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
)

// A paused workflow is neither running nor over. The activity of a paused
// workflow waits, accepts heartbeats and accepts its answer, which the workflow
// reads when the pause ends.
func TestPausedWorkflow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	r.PauseWorkflow(run)
	if s := r.Describe(run).GetWorkflowExecutionInfo().GetStatus(); s != enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED {
		t.Errorf("the workflow is %v, want paused", s)
	}
	if p := r.Pending(run); p.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED || p.GetPaused() || !p.GetLastStartedTime().AsTime().Equal(info.StartedTime) {
		t.Errorf("its activity is %v, want that it runs, not paused itself, since %v", p, info.StartedTime)
	}
	answer, err := beat(r, info)
	wantNil(t, "heartbeat", err)
	if answer.GetActivityPaused() || answer.GetCancelRequested() || answer.GetActivityReset() {
		t.Errorf("the heartbeat was answered by %v, want no signal", answer)
	}
	wantNil(t, "completion", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	if p := r.Pending(run); p != nil {
		t.Errorf("after its completion the activity is %v, want none", p)
	}
	r.UnpauseWorkflow(run)
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}
