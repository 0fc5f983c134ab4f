package main

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
)

// Progress is stored in the heartbeat details, for Temporal and for later
// attempts.
type Progress struct{ Percent int }

// Result is the result of a job.
type Result struct {
	Job     string // the runner's number for the job
	Output  string
	Attempt int32 // the attempt that waited for the job at its end
}

// ResultType returns the name of the type in the store. Types of package main
// need this method, because every program's package is called main.
func (Result) ResultType() string { return "longjob.Result" }

// heartbeatTimeout is how soon Temporal notices that no hub watches a job.
// heartbeatTimeout is short so that the example is short; an hour would work
// too.
const heartbeatTimeout = 3 * claimTime

// Process runs a job at the runner.
func Process(ctx workflow.Context, name string) (Result, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 24 * time.Hour, // the longest job
		HeartbeatTimeout:    heartbeatTimeout,
		WaitForCancellation: true, // the workflow waits until its cancelled job has stopped
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
	})
	var (
		a      *Activities
		result Result
	)
	err := workflow.ExecuteActivity(ctx, a.RunJob, name).Get(ctx, &result)
	return result, err
}

// Activities are the activities of the worker.
type Activities struct {
	hub    *async.Hub
	runner *jobs.Client
	say    func(format string, args ...any)
}

// RunJob starts a job and returns at once. No goroutine and no worker waits for the
// job.
func (a *Activities) RunJob(ctx context.Context, name string) (Result, error) {
	o := async.StartOptions{Pump: runnerPump, Labels: map[string]string{"job": name}}
	return async.Start(ctx, a.hub, o, func(ctx context.Context, p async.Pending[Result]) error {
		attempt := activity.GetInfo(ctx).Attempt
		if id := p.Reference(); id != "" {
			// An earlier attempt has started the job, and the job still runs.
			// (StartOptions.Once would also prevent a second job.)
			a.say("%s, attempt %d: %s runs already", name, attempt, id)
			return nil
		}
		// If an earlier job has crashed, there is no reference, but the next
		// job can continue from its progress.
		var done Progress
		if activity.HasHeartbeatDetails(ctx) {
			if err := activity.GetHeartbeatDetails(ctx, &done); err != nil {
				return err
			}
		}
		// All attempts have the same callback ID until there is an answer. A
		// worker that dies between these two calls starts no second job.
		job, err := a.runner.Start(ctx, p.ID(), jobs.Order{Name: name, From: done.Percent})
		if err != nil {
			return err
		}
		a.say("%s, attempt %d: %s started at %d%%", name, attempt, job.ID, job.From)
		return p.Remember(ctx, job.ID)
	})
}
