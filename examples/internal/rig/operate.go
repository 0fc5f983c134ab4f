package rig

import (
	"time"

	activitypb "go.temporal.io/api/activity/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// Pause pauses an activity, as an operator does.
func (r *Rig) Pause(info activity.Info) {
	r.t.Helper()
	if _, err := r.Service().PauseActivityExecution(r.Context(), &workflowservice.PauseActivityExecutionRequest{
		Namespace: r.Namespace, WorkflowId: info.WorkflowExecution.ID, RunId: runOf(info), ActivityId: info.ActivityID,
	}); err != nil {
		r.t.Fatalf("pause: %v", err)
	}
}

// Unpause ends a pause.
func (r *Rig) Unpause(info activity.Info) {
	r.t.Helper()
	if _, err := r.Service().UnpauseActivityExecution(r.Context(), &workflowservice.UnpauseActivityExecutionRequest{
		Namespace: r.Namespace, WorkflowId: info.WorkflowExecution.ID, RunId: runOf(info), ActivityId: info.ActivityID,
	}); err != nil {
		r.t.Fatalf("unpause: %v", err)
	}
}

// Reset resets an activity's attempts. One that is paused stays so.
func (r *Rig) Reset(info activity.Info) {
	r.t.Helper()
	if _, err := r.Service().ResetActivityExecution(r.Context(), &workflowservice.ResetActivityExecutionRequest{
		Namespace: r.Namespace, WorkflowId: info.WorkflowExecution.ID, RunId: runOf(info), ActivityId: info.ActivityID,
		KeepPaused: true,
	}); err != nil {
		r.t.Fatalf("reset: %v", err)
	}
}

// ExtendScheduleToClose moves the activity's schedule-to-close time-out.
func (r *Rig) ExtendScheduleToClose(info activity.Info, d time.Duration) {
	r.t.Helper()
	if _, err := r.Service().UpdateActivityExecutionOptions(r.Context(), &workflowservice.UpdateActivityExecutionOptionsRequest{
		Namespace: r.Namespace, WorkflowId: info.WorkflowExecution.ID, RunId: runOf(info), ActivityId: info.ActivityID,
		ActivityOptions: &activitypb.ActivityOptions{ScheduleToCloseTimeout: durationpb.New(d), StartToCloseTimeout: durationpb.New(d)},
		UpdateMask:      &fieldmaskpb.FieldMask{Paths: []string{"schedule_to_close_timeout", "start_to_close_timeout"}},
	}); err != nil {
		r.t.Fatalf("update options: %v", err)
	}
}
