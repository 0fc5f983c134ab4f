package facts

import (
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// The test completes twice, completes after a timeout, or heartbeats after the
// end: Temporal answers NotFound in all cases. (Standalone by ID: see
// TestStandaloneCompletedTwice.)
func TestOver(t *testing.T) {
	t.Parallel()
	// The workflow continues after its activity, so that only the activity is
	// over.
	const goesOn = "goesOn"
	register := func(w worker.Registry) {
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context, o workflow.ActivityOptions) error {
			_, _ = rig.Await[decision](ctx, o)
			workflow.GetSignalChannel(ctx, "never").Receive(ctx, nil)
			return nil
		}, workflow.RegisterOptions{Name: goesOn})
	}
	for name, end := range map[string]func(r *rig.Rig, info activity.Info) error{
		"completed": func(r *rig.Rig, info activity.Info) error {
			return r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil)
		},
		"failed": func(r *rig.Rig, info activity.Info) error {
			return r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, temporal.NewNonRetryableApplicationError("no", "", nil))
		},
		"timed out": func(*rig.Rig, activity.Info) error { return nil },
		"workflow is over": func(r *rig.Rig, info activity.Info) error {
			return r.Client.TerminateWorkflow(r.Context(), info.WorkflowExecution.ID, info.WorkflowExecution.RunID, "the test's")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, register)
			o := patient()
			if name == "timed out" {
				o = timed(soon)
			}
			run := r.Start(goesOn, o)
			info := r.Next()
			wantNil(t, "the end", end(r, info))
			rig.Eventually(t, "the activity to be over", func() bool { return r.Pending(run) == nil || name == "workflow is over" })
			ctx := r.Context()
			wantNotFound(t, "complete", r.Client.CompleteActivity(ctx, info.TaskToken, approved, nil))
			wantNotFound(t, "fail", r.Client.CompleteActivity(ctx, info.TaskToken, nil, later()))
			wantNotFound(t, "cancel", r.Client.CompleteActivity(ctx, info.TaskToken, nil, temporal.NewCanceledError()))
			wantNotFound(t, "heartbeat", r.Client.RecordActivityHeartbeat(ctx, info.TaskToken))
			wantNotFound(t, "complete by ID", completeByID(r, info, approved, nil))
			wantNotFound(t, "fail by ID", completeByID(r, info, nil, later()))
			wantNotFound(t, "cancel by ID", completeByID(r, info, nil, temporal.NewCanceledError()))
			wantNotFound(t, "heartbeat by ID", r.Client.RecordActivityHeartbeatByID(ctx, r.Namespace, run.GetID(), run.GetRunID(), info.ActivityID))
		})
	}
}
