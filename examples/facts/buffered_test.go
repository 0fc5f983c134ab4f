package facts

import (
	"context"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// A completion arrives while a workflow task runs. The activity is then not
// pending, and history does not show its end yet, because the event is buffered
// until that task ends.
func TestBufferedCompletion(t *testing.T) {
	t.Parallel()
	const busy = "busy"
	running, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, func(w worker.Registry) {
		// On a signal, a local activity keeps the workflow task open.
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context, o workflow.ActivityOptions) (decision, error) {
			var d decision
			answer := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), rig.Activity)
			workflow.GetSignalChannel(ctx, "work").Receive(ctx, nil)
			local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
			if err := workflow.ExecuteLocalActivity(local, func(context.Context) error {
				close(running)
				<-release
				return nil
			}).Get(ctx, nil); err != nil {
				return d, err
			}
			return d, answer.Get(ctx, &d)
		}, workflow.RegisterOptions{Name: busy})
	})
	run := r.Start(busy, patient())
	info := r.Next()
	if err := r.Client.SignalWorkflow(r.Context(), run.GetID(), run.GetRunID(), "work", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-running:
	case <-r.Context().Done():
		t.Fatal("the workflow task hasn't begun")
	}

	wantNil(t, "completion", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	if p := r.Pending(run); p != nil {
		t.Errorf("pending: %v, want none", p)
	}
	if e := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED); e != nil {
		t.Errorf("in history: %v, want no end of the activity yet", e)
	}
	if status := r.Describe(run).GetWorkflowExecutionInfo().GetStatus(); status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("workflow is %v, want it to run", status)
	}
	close(release)
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
	if r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED) == nil {
		t.Error("the completion isn't in history after the workflow task, want it there")
	}
}
