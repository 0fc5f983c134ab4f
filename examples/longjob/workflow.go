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

// Progress is what the heartbeats tell Temporal, and a later attempt.
type Progress struct{ Percent int }

// Result is what came of a job.
type Result struct {
	Job     string // the runner's number for it
	Output  string
	Attempt int32 // of the activity that waited for it at the end
}

// ResultType names the type in the store. Types of package main need that,
// since every program's is called main.
func (Result) ResultType() string { return "longjob.Result" }

// heartbeatTimeout is how soon Temporal notices that no hub looks after a job
// any more. Hours would be as good; this is short, so that the story is.
const heartbeatTimeout = 3 * claimTime

// Process has a job done at the runner.
func Process(ctx workflow.Context, name string) (Result, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 24 * time.Hour, // the longest job
		HeartbeatTimeout:    heartbeatTimeout,
		WaitForCancellation: true, // a cancelled job has ended when its workflow has
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
	})
	var (
		a      *Activities
		result Result
	)
	err := workflow.ExecuteActivity(ctx, a.RunJob, name).Get(ctx, &result)
	return result, err
}

// Activities are those of the worker.
type Activities struct {
	hub    *async.Hub
	runner *jobs.Client
	say    func(format string, args ...any)
}

// RunJob starts a job and returns at once: no goroutine waits for the job, and
// no worker is busy with it.
func (a *Activities) RunJob(ctx context.Context, name string) (Result, error) {
	o := async.StartOptions{Pump: runnerPump, Labels: map[string]string{"job": name}}
	return async.Start(ctx, a.hub, o, func(ctx context.Context, p async.Pending[Result]) error {
		attempt := activity.GetInfo(ctx).Attempt
		if id := p.Reference(); id != "" {
			// An attempt before this one has started the job, and it is out
			// there still. (StartOptions.Once would say the same.)
			a.say("%s, attempt %d: %s is known, nothing is started", name, attempt, id)
			return nil
		}
		// Where a job before has crashed there is no reference, but what it had
		// done needn't be done again.
		var done Progress
		if activity.HasHeartbeatDetails(ctx) {
			if err := activity.GetHeartbeatDetails(ctx, &done); err != nil {
				return err
			}
		}
		// The callback ID is the same in each attempt until there is an answer.
		// A worker that dies between these two calls starts no second job.
		job, err := a.runner.Start(ctx, p.ID(), jobs.Order{Name: name, From: done.Percent})
		if err != nil {
			return err
		}
		a.say("%s, attempt %d: %s is started at %d%%", name, attempt, job.ID, job.From)
		return p.Remember(ctx, job.ID)
	})
}
