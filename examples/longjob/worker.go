package main

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/bolt" // registers the scheme "bolt" for store.Open
)

const (
	// runnerPump names the pump of activities that have a job at the runner.
	runnerPump = "runner"

	// claimTime is the shortest allowed one, so that heartbeat timeouts and the
	// example can be short. Production code uses the default.
	claimTime = 2 * time.Second
)

// work runs the worker's process: activities, and a hub that heartbeats for
// them. The store's file contains everything that the process needs after a
// SIGKILL.
func work(ctx context.Context, runner, directory, queue string, say func(format string, args ...any)) (err error) {
	temporal, options, err := child.Dial(ctx)
	if err != nil {
		return err
	}
	defer temporal.Close()
	entries, err := store.Open(ctx, (&url.URL{Scheme: "bolt", Path: filepath.ToSlash(filepath.Join(directory, "latchkey.db"))}).String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, entries.Close()) }()
	reporter, err := completer.New(completer.Client{Client: temporal, Options: options})
	if err != nil {
		return err
	}

	// The watcher answers through the hub that calls it.
	watcher := &Watcher{runner: jobs.NewClient(runner), say: say}
	watcher.hub, err = async.New(async.Options{
		Store:     entries,
		Completer: reporter,
		Pumps: map[string]heartbeat.Pump{
			runnerPump: heartbeat.Probe(watcher.Look, heartbeat.ProbeOptions{Interval: 500 * time.Millisecond}),
		},
		Hooks:        async.Hooks{CancelRequested: watcher.Cancel, Over: watcher.Over},
		ClaimTime:    claimTime,
		PollInterval: 100 * time.Millisecond,
	})
	if err != nil {
		return err
	}

	w := worker.New(temporal, queue, worker.Options{})
	w.RegisterWorkflow(Process)
	w.RegisterActivity(&Activities{hub: watcher.hub, runner: watcher.runner, say: say})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	if err := watcher.hub.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}
