package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// Watcher looks after jobs that run. It is no part of the activities, and could
// be a program of its own: all that it needs to know of a job is in the hub's
// store.
type Watcher struct {
	hub    *async.Hub
	runner *jobs.Client
	say    func(format string, args ...any)
}

// Look is what heartbeat.Probe calls, about twice a second for each job.
func (w *Watcher) Look(ctx context.Context, a heartbeat.Activity) (details any, err error) {
	job, err := w.runner.Get(ctx, a.Reference)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return nil, fmt.Errorf("%w: the runner has forgotten it", heartbeat.ErrDead)
	case err != nil:
		return nil, err // not known: the next look may tell, and until then there is no heartbeat
	case job.State == jobs.Crashed:
		w.say("%s has crashed: the attempt fails, and the next one starts another job", job.ID)
		return nil, fmt.Errorf("%w: it has crashed at %d%%", heartbeat.ErrDead, job.Percent)
	case job.State == jobs.Done:
		// This runner reports nothing when a job is done, so this probe answers.
		// One that calls back would be given a URL with the callback ID, and its
		// handler would do the same.
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

// Cancel is the hook that is called when the workflow is cancelled. A
// heartbeat learns of that, and nothing else would.
func (w *Watcher) Cancel(ctx context.Context, c async.Callback) error {
	if c.Reference() == "" {
		return errors.New("the job is only being started: ask again")
	}
	job, err := w.runner.Stop(ctx, c.Reference())
	if err != nil {
		return err // the hook is called again
	}
	if job.State != jobs.Stopped {
		return nil // too late: it has ended by itself, and Look says how
	}
	w.say("%s is to be cancelled: %s is stopped at %d%%", job.Name, job.ID, job.Percent)
	return c.ReportCanceled(ctx, Progress{job.Percent})
}

// Over is the hook that is called when the activity has ended without us: its
// workflow was terminated, for example. The job is no longer needed.
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
