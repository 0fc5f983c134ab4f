package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
)

// view is a job as the runner and Temporal see it.
type view struct {
	job     jobs.Job // the workflow's last job
	known   int      // the progress in percent that Temporal knows; -1: unknown
	attempt int32    // of the activity
	closed  bool     // the workflow
}

// look asks the runner and Temporal.
func (s *story) look(ctx context.Context) (map[string]view, error) {
	all, err := s.runner.All(ctx)
	if err != nil {
		return nil, err
	}
	views := make(map[string]view)
	for _, name := range names {
		v := view{known: -1}
		for _, j := range all {
			if j.Name == name {
				v.job = j
			}
		}
		described, err := s.temporal.DescribeWorkflowExecution(ctx, s.runs[name].GetID(), s.runs[name].GetRunID())
		if err != nil {
			return nil, err
		}
		v.closed = described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		for _, a := range described.GetPendingActivities() {
			v.attempt = a.GetAttempt()
			var p Progress
			if converter.GetDefaultDataConverter().FromPayloads(a.GetHeartbeatDetails(), &p) == nil {
				v.known = p.Percent
			}
		}
		views[name] = v
	}
	return views, nil
}

// until shows the progress until a condition holds.
func (s *story) until(ctx context.Context, what string, come func(map[string]view) bool) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		views, err := s.look(ctx)
		if err == nil {
			s.Progress(line(views))
			if come(views) {
				return nil
			}
		} else if ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w while waiting until %s", context.Cause(ctx), what)
		}
	}
}

// line returns the progress in one line.
func line(views map[string]view) string {
	parts := make([]string, len(names))
	for i, name := range names {
		v := views[name]
		switch {
		case v.job.ID == "":
			parts[i] = name + " is not started"
		case v.job.State != jobs.Running:
			parts[i] = fmt.Sprintf("%s %3d%% %s", name, v.job.Percent, v.job.State)
		case v.known < 0:
			parts[i] = fmt.Sprintf("%s %3d%% [  ? ]  ", name, v.job.Percent)
		default:
			parts[i] = fmt.Sprintf("%s %3d%% [%3d%%]  ", name, v.job.Percent, v.known)
		}
	}
	return "  " + strings.Join(parts, "   ")
}
