package facts

import (
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// Temporal returns NotFound for a run that was deleted, for example after its
// retention: to Describe, to requests for its history, and to answers. Temporal
// returns the same for an activity that is over.
// The deletion terminates an open run.
func TestDeletedWorkflow(t *testing.T) {
	t.Parallel()
	for name, answered := range map[string]bool{"while its activity waits": false, "after its end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			run := r.Start(awaitDecision, patient())
			info := r.Next()
			if answered {
				wantNil(t, "completion", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
				result[decision](t, r, run)
			}
			r.DeleteWorkflow(run)
			ctx, execution := r.Context(), &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()}
			_, err := r.Service().DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{Namespace: r.Namespace, Execution: execution})
			wantNotFound(t, "describe", err)
			_, err = r.Service().GetWorkflowExecutionHistoryReverse(ctx, &workflowservice.GetWorkflowExecutionHistoryReverseRequest{Namespace: r.Namespace, Execution: execution})
			wantNotFound(t, "history", err)
			wantNotFound(t, "completion by token", r.Client.CompleteActivity(ctx, info.TaskToken, approved, nil))
			wantNotFound(t, "completion by ID", completeByID(r, info, approved, nil))
			_, err = beat(r, info)
			wantNotFound(t, "heartbeat", err)
		})
	}
}

// Calls about a deleted standalone activity also get NotFound.
func TestDeletedActivity(t *testing.T) {
	t.Parallel()
	for name, answered := range map[string]bool{"while it waits": false, "after its end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			h := r.StartActivity(client.StartActivityOptions{})
			info := r.Next()
			if answered {
				wantNil(t, "completion", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
				result[decision](t, r, h)
			}
			r.DeleteActivity(h)
			_, err := r.Service().DescribeActivityExecution(r.Context(), &workflowservice.DescribeActivityExecutionRequest{
				Namespace: r.Namespace, ActivityId: h.GetID(), RunId: h.GetRunID(), IncludeOutcome: true,
			})
			wantNotFound(t, "describe", err)
			wantNotFound(t, "completion by token", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
			wantNotFound(t, "completion by ID", standaloneByID(r, info, approved, nil))
			_, err = beat(r, info)
			wantNotFound(t, "heartbeat", err)
		})
	}
}
