package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/examples/internal/live"
	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
)

// names are the names of the jobs. Each job is the only step of a workflow.
var names = []string{"render", "index", "encode"}

// story is the program that starts, kills and checks the worker and the runner.
type story struct {
	*live.Story
	temporal client.Client
	runner   *jobs.Client
	runs     map[string]client.WorkflowRun // by job

	// spawn starts a worker.
	spawn func() (*child.Process, error)
}

// errLate ends the example if it takes too long. The example normally takes a
// quarter of a minute.
var errLate = errors.New("the example has not ended within eight minutes")

// tell starts all processes, runs the example, and stops the processes.
func tell(ctx context.Context, stdout, stderr io.Writer) (err error) {
	directory, err := os.MkdirTemp("", "latchkey-longjob-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	server, err := child.Serve(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	ctx, cancel := context.WithTimeoutCause(ctx, 8*time.Minute, errLate)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	s := &story{Story: live.New(stdout), temporal: server.Client, runs: make(map[string]client.WorkflowRun)}
	address := make(chan string, 1)
	runner, err := child.Start(child.Options{
		Name: "job runner", Args: []string{"runner"}, Ended: fail,
		Heard: func(line string) { address <- line },
	})
	if err != nil {
		return err
	}
	defer runner.Stop()
	var base string
	select {
	case base = <-address:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.runner = jobs.NewClient(base)

	queue := "latchkey-longjob-" + rand.Text() // no other worker takes part
	s.spawn = func() (*child.Process, error) {
		return child.Start(child.Options{
			Name: "worker", Args: []string{"worker", base, directory, queue}, Server: server, Ended: fail,
			Heard: func(line string) { s.Say("    worker: %s", line) },
		})
	}
	for _, name := range names {
		s.runs[name], err = s.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, Process, name)
		if err != nil {
			return err
		}
	}
	if err := s.run(ctx); err != nil {
		s.Settle()
		return err
	}
	return nil
}

// run makes a worker die, a job crash and a cancellation arrive.
func (s *story) run(ctx context.Context) error {
	first, err := s.spawn()
	if err != nil {
		return err
	}
	defer first.Stop()

	s.Say("Three workflows each start a job at a runner that knows nothing about Temporal.")
	s.Say("The lines below show the progress of each job, and in brackets the progress that Temporal knows from heartbeats.")
	err = s.until(ctx, "Temporal knows the progress of each job", func(v map[string]view) bool {
		return v["render"].known > 0 && v["index"].known > 0 && v["encode"].known > 0
	})
	if err != nil {
		return err
	}

	s.Say("The workflow of encode is cancelled. A heartbeat learns of it.")
	if err := s.temporal.CancelWorkflow(ctx, s.runs["encode"].GetID(), s.runs["encode"].GetRunID()); err != nil {
		return err
	}
	err = s.until(ctx, "the workflow of encode ends", func(v map[string]view) bool { return v["encode"].closed })
	if err != nil {
		return err
	}

	var lost string
	err = s.until(ctx, "Temporal knows that index is at 10%", func(v map[string]view) bool {
		lost = v["index"].job.ID
		return v["index"].known >= 10
	})
	if err != nil {
		return err
	}
	s.Say("The runner loses the job index, as if a machine had failed. The next heartbeat notices it.")
	if _, err := s.runner.Crash(ctx, lost); err != nil {
		return err
	}
	err = s.until(ctx, "another job continues index", func(v map[string]view) bool {
		return v["index"].job.ID != lost && v["index"].known > v["index"].job.From
	})
	if err != nil {
		return err
	}

	s.Say("The worker is killed with SIGKILL. The runner continues; Temporal gets no heartbeats.")
	first.Kill()
	before := make(map[string]view)
	err = s.until(ctx, "the heartbeat timeout ends the attempts", func(v map[string]view) bool {
		if len(before) == 0 {
			before = v
		}
		return v["render"].attempt > before["render"].attempt && v["index"].attempt > before["index"].attempt
	})
	if err != nil {
		return err
	}

	s.Say("No heartbeat for %v: Temporal has timed both attempts out. Another worker is started.", heartbeatTimeout)
	second, err := s.spawn()
	if err != nil {
		return err
	}
	defer second.Stop()
	err = s.until(ctx, "both jobs are done", func(v map[string]view) bool { return v["render"].closed && v["index"].closed })
	if err != nil {
		return err
	}

	s.Settle()
	all, err := s.runner.All(ctx)
	if err != nil {
		return err
	}
	lines, err := account(all, s.outcomes(ctx))
	s.Say("\n%s", strings.Join(lines, "\n"))
	if err != nil {
		return err
	}
	s.Say("All as expected: %d jobs for %d workflows, because one job crashed. No job was started twice.", len(all), len(names))
	return nil
}
