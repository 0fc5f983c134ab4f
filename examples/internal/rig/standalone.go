package rig

import (
	"crypto/rand"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
)

// StartActivity starts the rig's activity without a workflow. StartActivity
// sets the ID and the task queue, and a timeout if the options have none.
func (r *Rig) StartActivity(o client.StartActivityOptions) client.ActivityHandle {
	r.t.Helper()
	o.TaskQueue = r.Queue
	if o.ID == "" {
		o.ID = "activity-" + rand.Text()
	}
	if o.StartToCloseTimeout == 0 {
		o.StartToCloseTimeout = time.Hour
	}
	h, err := r.Client.ExecuteActivity(r.Context(), o, Activity)
	if err != nil {
		r.t.Fatalf("start activity: %v", err)
	}
	return h
}

// DescribeActivity returns everything that the server reports about a standalone
// activity, including outcome and last failure.
func (r *Rig) DescribeActivity(h client.ActivityHandle) *workflowservice.DescribeActivityExecutionResponse {
	r.t.Helper()
	d, err := r.Service().DescribeActivityExecution(r.Context(), &workflowservice.DescribeActivityExecutionRequest{
		Namespace: r.Namespace, ActivityId: h.GetID(), RunId: h.GetRunID(),
		IncludeOutcome: true, IncludeLastFailure: true, IncludeHeartbeatDetails: true,
	})
	if err != nil {
		r.t.Fatalf("describe activity: %v", err)
	}
	return d
}

// runOf returns the run ID for an activity. The result is the run ID of the
// activity's workflow, or of a standalone activity.
func runOf(info activity.Info) string {
	if info.WorkflowExecution.ID == "" {
		return info.ActivityRunID
	}
	return info.WorkflowExecution.RunID
}
