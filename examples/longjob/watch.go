package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// Watcher watches running jobs. A Watcher is not part of the activities and
// could be a separate program, because the hub's store contains all information
// about a job.
type Watcher struct {
	hub    *async.Hub
	runner *jobs.Client
	say    func(format string, args ...any)
}

// Look is called by heartbeat.Probe, about twice a second for each job.
func (w *Watcher) Look(ctx context.Context, a heartbeat.Activity) (details any, err error) {
	job, err := w.runner.Get(ctx, a.Reference)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return nil, fmt.Errorf("%w: the runner no longer knows it", heartbeat.ErrDead)
	case err != nil:
		return nil, err // the state is unknown: nothing is sent until a later call knows it
	case job.State == jobs.Crashed:
		w.say("%s has crashed: the attempt fails, and the next one starts another job", job.ID)
		return nil, fmt.Errorf("%w: the job crashed at %d%%", heartbeat.ErrDead, job.Percent)
	case job.State == jobs.Done:
		// This runner does not report the end of a job, so this probe answers
		// the activity. If your system can call back, give it a URL with the
		// callback ID; the handler of that URL would answer in the same way.
		if err := w.complete(ctx, a, job); err != nil {
			return nil, err
		}
	}
	return Progress{job.Percent}, nil
}

func (w *Watcher) complete(ctx context.Context, a heartbeat.Activity, job jobs.Job) error {
	p, err := async.Open[Result](ctx, w.hub, a.ID)
	if err == nil {
		err = p.Complete(ctx, Result{Job: job.ID, Output: job.Result, Attempt: a.Attempt})
	}
	return err
}

// Cancel is the hook for a cancelled workflow. A heartbeat of the hub has
// learned of the request.
func (w *Watcher) Cancel(ctx context.Context, c async.Callback) error {
	if c.Reference() == "" {
		return errors.New("the job is still being started: call the hook again")
	}
	job, err := w.runner.Stop(ctx, c.Reference())
	if err != nil {
		return err // the hook is called again
	}
	if job.State != jobs.Stopped {
		return nil // too late: the job has ended, and Look answers
	}
	w.say("%s: cancellation requested, %s stopped at %d%%", job.Name, job.ID, job.Percent)
	return c.ReportCanceled(ctx, Progress{job.Percent})
}

// Over is the hook for an activity that ended without an answer, for example
// because its workflow was terminated. The job is no longer needed.
func (w *Watcher) Over(ctx context.Context, c async.Callback, _ error) error {
	if c.Reference() == "" {
		return nil
	}
	_, err := w.runner.Stop(ctx, c.Reference())
	if errors.Is(err, jobs.ErrNotFound) {
		return nil
	}
	return err
}
