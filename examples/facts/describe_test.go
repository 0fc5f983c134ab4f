package facts

import (
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// The test reads a pending activity of a workflow: its state, whether it is
// paused, its attempt, and the start of the running attempt.
func TestPendingStates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	check := func(what string, state enumspb.PendingActivityState, paused bool, attempt int32, running bool) {
		t.Helper()
		p := r.AwaitPending(run, what, func(p *workflowpb.PendingActivityInfo) bool { return p.GetState() == state })
		if p.GetPaused() != paused || p.GetAttempt() != attempt || (p.GetLastStartedTime() != nil) != running {
			t.Errorf("%s: paused %v, attempt %d, started %v; want %v, %d, and a time: %v",
				what, p.GetPaused(), p.GetAttempt(), p.GetLastStartedTime(), paused, attempt, running)
		}
		if running && !p.GetLastStartedTime().AsTime().Equal(info.StartedTime) {
			t.Errorf("%s: started at %v, want %v as the attempt itself says", what, p.GetLastStartedTime().AsTime(), info.StartedTime)
		}
	}
	check("running", enumspb.PENDING_ACTIVITY_STATE_STARTED, false, 1, true)
	r.Pause(info)
	check("running, paused", enumspb.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED, true, 1, true)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, again()))
	check("paused", enumspb.PENDING_ACTIVITY_STATE_PAUSED, true, 2, false)
	r.Unpause(info)
	info = r.Next()
	check("running again", enumspb.PENDING_ACTIVITY_STATE_STARTED, false, 2, true)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, later()))
	check("back-off", enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, false, 3, false)
	r.Reset(info)
	info = r.Next()
	check("running after a reset", enumspb.PENDING_ACTIVITY_STATE_STARTED, false, 1, true)
	r.Pause(info)
	requestCancel(t, r, run)
	check("running, paused, cancellation requested", enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED, true, 1, true)
}

// Heartbeat details are kept over attempts. The time of the last heartbeat is
// shown with them, even if that heartbeat had no details.
func TestPendingHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	if p := r.Pending(run); p.GetLastHeartbeatTime() != nil {
		t.Errorf("heartbeat at %v, want none yet", p.GetLastHeartbeatTime().AsTime())
	}
	wantNil(t, "heartbeat", r.Client.RecordActivityHeartbeat(r.Context(), info.TaskToken, "half-way"))
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, later()))
	p := r.AwaitPending(run, "back-off", rig.BackOff(2))
	if got := string(p.GetHeartbeatDetails().GetPayloads()[0].GetData()); got != `"half-way"` || p.GetLastHeartbeatTime() == nil {
		t.Errorf("in back-off: details %s at %v, want them kept", got, p.GetLastHeartbeatTime())
	}
}
