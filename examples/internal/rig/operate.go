package rig

import (
	"crypto/rand"
	"errors"
	"time"

	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// Pause pauses an activity as an operator does.
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

// Reset resets an activity's attempts. A paused activity stays paused.
func (r *Rig) Reset(info activity.Info) {
	r.t.Helper()
	if _, err := r.Service().ResetActivityExecution(r.Context(), &workflowservice.ResetActivityExecutionRequest{
		Namespace: r.Namespace, WorkflowId: info.WorkflowExecution.ID, RunId: runOf(info), ActivityId: info.ActivityID,
		KeepPaused: true,
	}); err != nil {
		r.t.Fatalf("reset: %v", err)
	}
}

// ExtendScheduleToClose moves the activity's schedule-to-close timeout.
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

// DeleteWorkflow deletes a run, as happens after the end of its retention, and
// waits until the server no longer knows it. An open run is terminated first.
func (r *Rig) DeleteWorkflow(run client.WorkflowRun) {
	r.t.Helper()
	if _, err := r.Service().DeleteWorkflowExecution(r.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: r.Namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
	}); err != nil {
		r.t.Fatalf("delete workflow: %v", err)
	}
	r.gone("the run to be gone", func() error {
		_, err := r.Client.DescribeWorkflowExecution(r.Context(), run.GetID(), run.GetRunID())
		return err
	})
}

// DeleteActivity deletes a standalone activity.
func (r *Rig) DeleteActivity(h client.ActivityHandle) {
	r.t.Helper()
	if _, err := r.Service().DeleteActivityExecution(r.Context(), &workflowservice.DeleteActivityExecutionRequest{
		Namespace: r.Namespace, ActivityId: h.GetID(), RunId: h.GetRunID(),
	}); err != nil {
		r.t.Fatalf("delete activity: %v", err)
	}
	r.gone("the activity to be gone", func() error {
		_, err := r.Service().DescribeActivityExecution(r.Context(), &workflowservice.DescribeActivityExecutionRequest{
			Namespace: r.Namespace, ActivityId: h.GetID(), RunId: h.GetRunID(),
		})
		return err
	})
}

func (r *Rig) gone(what string, ask func() error) {
	r.t.Helper()
	Eventually(r.t, what, func() bool {
		err := ask()
		if _, is := errors.AsType[*serviceerror.NotFound](err); err != nil && !is {
			r.t.Fatalf("%s: %v", what, err)
		}
		return err != nil
	})
}

// PauseWorkflow pauses a workflow. The server must have this feature enabled.
func (r *Rig) PauseWorkflow(run client.WorkflowRun) {
	r.t.Helper()
	if _, err := r.Service().PauseWorkflowExecution(r.Context(), &workflowservice.PauseWorkflowExecutionRequest{
		Namespace: r.Namespace, WorkflowId: run.GetID(), RunId: run.GetRunID(), RequestId: rand.Text(),
	}); err != nil {
		r.t.Fatalf("pause workflow: %v", err)
	}
}

// UnpauseWorkflow ends a workflow's pause.
func (r *Rig) UnpauseWorkflow(run client.WorkflowRun) {
	r.t.Helper()
	if _, err := r.Service().UnpauseWorkflowExecution(r.Context(), &workflowservice.UnpauseWorkflowExecutionRequest{
		Namespace: r.Namespace, WorkflowId: run.GetID(), RunId: run.GetRunID(), RequestId: rand.Text(),
	}); err != nil {
		r.t.Fatalf("unpause workflow: %v", err)
	}
}
