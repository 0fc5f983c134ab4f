package rig

import (
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
)

// Await is a workflow with one activity. Await returns the activity's result.
// The worker must register Await for the T of the test.
func Await[T any](ctx workflow.Context, o workflow.ActivityOptions) (T, error) {
	var result T
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), Activity).Get(ctx, &result)
	return result, err
}

// Start starts a workflow on the rig's queue, with an ID of its own. The
// workflow is terminated at the end of the test.
func (r *Rig) Start(fn any, args ...any) client.WorkflowRun {
	r.t.Helper()
	run, err := r.Client.ExecuteWorkflow(r.Context(), client.StartWorkflowOptions{TaskQueue: r.Queue}, fn, args...)
	if err != nil {
		r.t.Fatalf("start workflow: %v", err)
	}
	return run
}

// Describe returns what the server reports about a run.
func (r *Rig) Describe(run client.WorkflowRun) *workflowservice.DescribeWorkflowExecutionResponse {
	r.t.Helper()
	d, err := r.Client.DescribeWorkflowExecution(r.Context(), run.GetID(), run.GetRunID())
	if err != nil {
		r.t.Fatalf("describe workflow: %v", err)
	}
	return d
}

// Pending returns the only pending activity of a run, or nil.
func (r *Rig) Pending(run client.WorkflowRun) *workflowpb.PendingActivityInfo {
	r.t.Helper()
	switch p := r.Describe(run).GetPendingActivities(); len(p) {
	case 0:
		return nil
	case 1:
		return p[0]
	default:
		r.t.Fatalf("%d pending activities, want at most one", len(p))
		return nil
	}
}

// AwaitPending waits until ok accepts the only pending activity of a run, and
// returns it.
func (r *Rig) AwaitPending(run client.WorkflowRun, what string, ok func(p *workflowpb.PendingActivityInfo) bool) *workflowpb.PendingActivityInfo {
	r.t.Helper()
	var p *workflowpb.PendingActivityInfo
	Eventually(r.t, what, func() bool {
		p = r.Pending(run)
		return p != nil && ok(p)
	})
	return p
}

// BackOff is a condition for AwaitPending: attempt n is scheduled and waits for its
// backoff.
func BackOff(n int32) func(p *workflowpb.PendingActivityInfo) bool {
	return func(p *workflowpb.PendingActivityInfo) bool {
		return p.GetAttempt() == n && p.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED
	}
}

// History returns the events of a run so far.
func (r *Rig) History(run client.WorkflowRun) []*historypb.HistoryEvent {
	r.t.Helper()
	var events []*historypb.HistoryEvent
	iter := r.Client.GetWorkflowHistory(r.Context(), run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		e, err := iter.Next()
		if err != nil {
			r.t.Fatalf("history: %v", err)
		}
		events = append(events, e)
	}
	return events
}

// Event returns the first event of a kind in the history of a run, or nil.
func (r *Rig) Event(run client.WorkflowRun, kind enumspb.EventType) *historypb.HistoryEvent {
	r.t.Helper()
	for _, e := range r.History(run) {
		if e.GetEventType() == kind {
			return e
		}
	}
	return nil
}
