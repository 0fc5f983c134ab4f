package facts

import (
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// A run uses an activity ID twice. A late answer by ID and run ID for the first
// activity completes the second. Only the times distinguish the two activities.
func TestActivityIDTwice(t *testing.T) {
	t.Parallel()
	const twice = "twice"
	r := newRig(t, func(w worker.Registry) {
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (decision, error) {
			first := workflow.ActivityOptions{
				ActivityID: "approve", StartToCloseTimeout: time.Second, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
			}
			if _, err := rig.Await[decision](ctx, first); !temporal.IsTimeoutError(err) {
				return decision{}, err
			}
			second := patient()
			second.ActivityID = "approve"
			return rig.Await[decision](ctx, second)
		}, workflow.RegisterOptions{Name: twice})
	})
	run := r.Start(twice)
	first, second := r.Next(), r.Next()
	if first.ScheduledTime.Equal(second.ScheduledTime) {
		t.Errorf("both were scheduled at %v, want two times", first.ScheduledTime)
	}
	if started := r.Pending(run).GetLastStartedTime().AsTime(); !started.Equal(second.StartedTime) || started.Equal(first.StartedTime) {
		t.Errorf("pending since %v, want the second's start %v, not the first's %v", started, second.StartedTime, first.StartedTime)
	}
	wantNotFound(t, "the first's answer by token", r.Client.CompleteActivity(r.Context(), first.TaskToken, approved, nil))
	wantNil(t, "the first's answer by ID", completeByID(r, first, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v as the second's answer, want the first's %+v", got, approved)
	}
}

// A completion by ID with an empty run ID reaches the current run. With Go's
// default IDs ("5" in every run), that may be another run's activity.
func TestEmptyRunID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := func() client.WorkflowRun {
		run, err := r.Client.ExecuteWorkflow(r.Context(), client.StartWorkflowOptions{ID: r.Queue, TaskQueue: r.Queue}, awaitDecision, patient())
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	first := start()
	asked := r.Next()
	if err := r.Client.TerminateWorkflow(r.Context(), first.GetID(), first.GetRunID(), "the test's"); err != nil {
		t.Fatal(err)
	}
	second := start()
	if other := r.Next(); other.ActivityID != asked.ActivityID || other.ActivityID != "5" {
		t.Errorf("activity IDs %q and %q, want 5 in both runs", asked.ActivityID, other.ActivityID)
	}
	wantNotFound(t, "with the first's run ID", completeByID(r, asked, approved, nil))
	wantNil(t, "with an empty run ID", r.Client.CompleteActivityByID(r.Context(), r.Namespace, asked.WorkflowExecution.ID, "", asked.ActivityID, approved, nil))
	if got := result[decision](t, r, second); got != approved {
		t.Errorf("the second run read %+v, want the first's answer %+v", got, approved)
	}
}
