package facts

import (
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// The test completes with a token of an earlier attempt while the next attempt
// is in backoff: Temporal answers NotFound, and the answer is lost. At the same
// time, a completion by ID is accepted (the server force-completes), and a
// failure by ID is not.
func TestOldTokenInBackOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, later()))
	r.AwaitPending(run, "back-off", rig.BackOff(2))
	wantNotFound(t, "completion by the old token", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	wantNotFound(t, "failure by ID", completeByID(r, info, nil, later()))
	wantNotFound(t, "cancellation by ID", completeByID(r, info, nil, temporal.NewCanceledError()))
	wantNil(t, "completion by ID", completeByID(r, info, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

// The test completes with a token of an earlier attempt while the next attempt
// runs: Temporal answers NotFound.
func TestOldTokenWhileNextRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Start(awaitDecision, patient())
	info := r.Next()
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, again()))
	r.Next()
	wantNotFound(t, "completion", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	wantNotFound(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, again()))
	wantNotFound(t, "heartbeat", r.Client.RecordActivityHeartbeat(r.Context(), info.TaskToken))
}

// A failure by token was accepted. A second failure by ID fails the next
// attempt, because IDs do not distinguish attempts. No event shows a failure
// that is retried.
func TestFailureByIDHitsNextAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	first := r.Next()
	wantNil(t, "failure by token", r.Client.CompleteActivity(r.Context(), first.TaskToken, nil, again()))
	if second := r.Next(); second.Attempt != 2 {
		t.Fatalf("attempt %d, want 2", second.Attempt)
	}
	wantNotFound(t, "the same failure by the old token", r.Client.CompleteActivity(r.Context(), first.TaskToken, nil, again()))
	wantNil(t, "the same failure by ID", completeByID(r, first, nil, again()))
	if third := r.Next(); third.Attempt != 3 {
		t.Errorf("attempt %d, want 3: the second failed", third.Attempt)
	}
	if r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED) != nil {
		t.Error("a retried failure is in history, want none")
	}
}

// In every attempt, Info.ScheduledTime is the time of the ActivityTaskScheduled
// event. The pending activity has a separate scheduled time for each attempt.
// In backoff the pending activity has no started time. While an attempt runs,
// it has the started time of that attempt.
func TestTimesOverAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	first := r.Next()
	event := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED).GetEventTime().AsTime()
	check := func(what string, got, want time.Time) {
		t.Helper()
		if !got.Equal(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("attempt 1, scheduled", first.ScheduledTime, event)
	check("attempt 1, pending since", r.Pending(run).GetScheduledTime().AsTime(), event)
	check("attempt 1, pending started", r.Pending(run).GetLastStartedTime().AsTime(), first.StartedTime)

	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), first.TaskToken, nil, again()))
	second := r.Next()
	check("attempt 2, scheduled", second.ScheduledTime, event)
	if !second.StartedTime.After(first.StartedTime) {
		t.Errorf("attempt 2 started at %v, want it after %v", second.StartedTime, first.StartedTime)
	}
	p := r.Pending(run)
	check("attempt 2, pending started", p.GetLastStartedTime().AsTime(), second.StartedTime)
	if !p.GetScheduledTime().AsTime().After(event) {
		t.Errorf("attempt 2 pending since %v, want a time of its own, after %v", p.GetScheduledTime().AsTime(), event)
	}

	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), second.TaskToken, nil, later()))
	p = r.AwaitPending(run, "back-off", rig.BackOff(3))
	if p.GetLastStartedTime() != nil {
		t.Errorf("in back-off, pending started: %v, want none", p.GetLastStartedTime().AsTime())
	}
}
