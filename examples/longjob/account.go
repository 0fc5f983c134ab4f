package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
)

// outcome is how a workflow ended.
type outcome struct {
	result Result
	err    error
}

// outcomes waits for the results of the workflows.
func (s *story) outcomes(ctx context.Context) map[string]outcome {
	all := make(map[string]outcome)
	for _, name := range names {
		var o outcome
		o.err = s.runs[name].Get(ctx, &o.result)
		all[name] = o
	}
	return all
}

// account compares each job in the runner's records with its workflow in
// Temporal. account returns an error that names all differences.
func account(books []jobs.Job, ended map[string]outcome) (lines []string, err error) {
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	of := make(map[string][]jobs.Job)
	for _, j := range books {
		of[j.Name] = append(of[j.Name], j)
	}
	for _, name := range names {
		label := name
		for _, j := range of[name] {
			say("  %-8s %s, from %d%% to %d%%: %s", label, j.ID, j.From, j.Percent, j.State)
			label = ""
		}
		switch o := ended[name]; {
		case o.err == nil:
			say("  %-8s its workflow has the result of %s, by attempt %d", label, o.result.Job, o.result.Attempt)
		case temporal.IsCanceledError(o.err):
			say("  %-8s its workflow is cancelled", label)
		default:
			say("  %-8s its workflow has failed", label)
		}
	}
	return lines, errors.Join(
		once("render", of["render"], ended["render"]),
		resumed("index", of["index"], ended["index"]),
		cancelled("encode", of["encode"], ended["encode"]),
	)
}

// once: there is one job, although the worker was killed, and the workflow has
// its result.
func once(name string, started []jobs.Job, o outcome) error {
	if len(started) != 1 {
		return fmt.Errorf("%s: %d jobs were started, want 1", name, len(started))
	}
	return answered(name, started[0], o)
}

// resumed: one job crashed, and a second one continued from the progress that
// Temporal had.
func resumed(name string, started []jobs.Job, o outcome) error {
	if len(started) != 2 {
		return fmt.Errorf("%s: %d jobs were started, want one, and one more after the crash", name, len(started))
	}
	crashed, second := started[0], started[1]
	if crashed.State != jobs.Crashed {
		return fmt.Errorf("%s: the first job is %s, want crashed", name, crashed.State)
	}
	if second.From == 0 || second.From > crashed.Percent {
		return fmt.Errorf("%s: the second job began at %d%%, and the first one crashed at %d%%", name, second.From, crashed.Percent)
	}
	return answered(name, second, o)
}

// answered: the workflow has the job's result, from an attempt after the kill.
func answered(name string, j jobs.Job, o outcome) error {
	switch {
	case o.err != nil:
		return fmt.Errorf("%s: the workflow has no result: %w", name, o.err)
	case j.State != jobs.Done:
		return fmt.Errorf("%s: the workflow has a result, and %s is %s", name, j.ID, j.State)
	case o.result.Job != j.ID || o.result.Output != j.Result:
		return fmt.Errorf("%s: the workflow has %q of %s, want %q of %s", name, o.result.Output, o.result.Job, j.Result, j.ID)
	case o.result.Attempt < 2:
		return fmt.Errorf("%s: answered by attempt %d, whose worker was killed", name, o.result.Attempt)
	}
	return nil
}

// cancelled: there is one job, which stopped before its end, and the workflow
// is cancelled.
func cancelled(name string, started []jobs.Job, o outcome) error {
	switch {
	case len(started) != 1:
		return fmt.Errorf("%s: %d jobs were started, want 1", name, len(started))
	case started[0].State != jobs.Stopped:
		return fmt.Errorf("%s: the job is %s, want stopped", name, started[0].State)
	case !temporal.IsCanceledError(o.err):
		return fmt.Errorf("%s: the workflow is not cancelled, but has ended with: %v", name, o.err)
	}
	return nil
}
