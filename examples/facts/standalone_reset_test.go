package facts

import (
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"
)

// A reset of a running standalone activity keeps its number and token, unlike a
// reset of a workflow's activity. A heartbeat reports the reset. The next
// attempt has number 1.
func TestStandaloneResetWhileRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := r.StartActivity(slow)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, nil, again()))
	second := r.Next()
	r.Reset(second)
	if i := r.DescribeActivity(h).GetInfo(); i.GetAttempt() != 2 || i.GetRunState() != enumspb.PENDING_ACTIVITY_STATE_STARTED {
		t.Errorf("after the reset: attempt %d, %v; want 2, running", i.GetAttempt(), i.GetRunState())
	}
	got, err := beat(r, second)
	wantNil(t, "heartbeat", err)
	if !got.GetActivityReset() {
		t.Errorf("heartbeat: %v, want it to tell of the reset", got)
	}
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), second.TaskToken, nil, later()))
	if next := r.Next(); next.Attempt != 1 { // the next attempt begins at once, whatever the retry policy
		t.Errorf("the next attempt has number %d, want 1", next.Attempt)
	}
}

// A standalone activity is reset in backoff. The next attempt has number 1, but
// unlike a workflow's activity, the first attempt's token stays invalid.
func TestStandaloneResetInBackOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := r.StartActivity(slow)
	first := r.Next()
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), first.TaskToken, nil, later()))
	r.Reset(first)
	next := r.Next()
	if next.Attempt != 1 || !next.StartedTime.After(first.StartedTime) {
		t.Errorf("the next attempt has number %d and started at %v, want 1, and after %v", next.Attempt, next.StartedTime, first.StartedTime)
	}
	_, err := beat(r, first)
	wantNotFound(t, "heartbeat by the first token", err)
	wantNotFound(t, "completion by the first token", r.Client.CompleteActivity(r.Context(), first.TaskToken, decision{}, nil))
	wantNil(t, "completion", r.Client.CompleteActivity(r.Context(), next.TaskToken, approved, nil))
	if got := result[decision](t, r, h); got != approved {
		t.Errorf("the activity's result is %+v, want %+v", got, approved)
	}
}

// The raw heartbeat of a standalone activity reports only one signal.
func TestStandaloneSignals(t *testing.T) {
	t.Parallel()
	type response = workflowservice.RecordActivityTaskHeartbeatResponse
	r := newRig(t)
	h := r.StartActivity(slow)
	info := r.Next()
	check := func(what string, want *response) {
		t.Helper()
		got, err := beat(r, info)
		wantNil(t, what, err)
		if !proto.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("nothing", &response{})
	r.Pause(info)
	check("paused", &response{ActivityPaused: true})
	r.Reset(info)
	check("paused, reset", &response{ActivityReset: true})
	if err := h.Cancel(r.Context(), client.CancelActivityOptions{}); err != nil {
		t.Fatal(err)
	}
	check("paused, reset, cancelled", &response{CancelRequested: true})
}
