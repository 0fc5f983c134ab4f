package answers

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// beating returns options with a heartbeat timeout, and with long waits between
// attempts. The timeout leaves a busy machine time for heartbeats.
func beating(timeout time.Duration) workflow.ActivityOptions {
	o := patient()
	o.HeartbeatTimeout = timeout
	return o
}

// often is the heartbeat timeout of activities for which a hub heartbeats once
// every pace. A busy machine may be late. rarely is a timeout in which no
// heartbeat is expected.
const (
	often  = 15 * time.Second
	pace   = 1500 * time.Millisecond
	rarely = 3 * time.Second
)

// beatingHub returns the options of a hub that heartbeats.
func beatingHub(c tellings) func(o *async.Options) {
	return func(o *async.Options) {
		running(nil)(o)
		o.ClaimTime = 4 * time.Second
		if o.Pumps == nil {
			o.Pumps = map[string]heartbeat.Pump{"": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{Interval: pace})}
		}
		if c == nil {
			return
		}
		o.Hooks = c.hooks()
		signal := func(hook string) func(context.Context, async.Callback) error {
			return func(_ context.Context, cb async.Callback) error {
				c <- hookCall{hook: hook, callback: cb}
				return nil
			}
		}
		o.Hooks.CancelRequested, o.Hooks.Paused, o.Hooks.Reset = signal("cancel"), signal("pause"), signal("reset")
	}
}

// each waits until these hooks were called for this callback, in any order and
// at least once. each fails if another hook was called, except for calls that
// it has seen before.
func (c tellings) each(t *testing.T, p async.Callback, before []string, hooks ...string) {
	t.Helper()
	ctx := rig.Context(t)
	for missing := slices.Clone(hooks); len(missing) > 0; {
		select {
		case got := <-c:
			if got.callback.ID() != p.ID() || !slices.Contains(hooks, got.hook) && !slices.Contains(before, got.hook) {
				t.Errorf("the hook %s was told of %v, want %v of %v", got.hook, got.callback, hooks, p)
			}
			missing = slices.DeleteFunc(missing, func(hook string) bool { return hook == got.hook })
		case <-ctx.Done():
			t.Fatalf("the hooks %v were not told of %v", missing, p)
		}
	}
}

// noneBut fails the test if any hook except these was called.
func (c tellings) noneBut(t *testing.T, hooks ...string) {
	t.Helper()
	for {
		select {
		case got := <-c:
			if !slices.Contains(hooks, got.hook) {
				t.Errorf("the hook %s was told of %v, want only %v", got.hook, got.callback, hooks)
			}
		default:
			return
		}
	}
}

// waiting is a waiting activity, of a workflow or standalone.
type waiting struct {
	info   activity.Info
	p      async.Pending[Decision]
	cancel func()
	result func() error
}

// standalone and ofWorkflow start an activity, fail its earlier attempts, and
// return it at the given attempt.
func (w *world) standalone(timeout time.Duration, attempt int32) waiting {
	w.t.Helper()
	h := w.StartActivity(client.StartActivityOptions{HeartbeatTimeout: timeout, RetryPolicy: quick().RetryPolicy})
	got := waiting{
		cancel: func() { must(w.t, h.Cancel(w.Context(), client.CancelActivityOptions{})) },
		result: func() error { return h.Get(w.Context(), nil) },
	}
	return w.at(got, attempt)
}

func (w *world) ofWorkflow(timeout time.Duration, attempt int32) waiting {
	w.t.Helper()
	o := quick()
	o.HeartbeatTimeout = timeout
	run := w.Start(awaitDecision, o)
	got := waiting{
		cancel: func() { must(w.t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID())) },
		result: func() error { return run.Get(w.Context(), nil) },
	}
	return w.at(got, attempt)
}

func (w *world) at(got waiting, attempt int32) waiting {
	w.t.Helper()
	for {
		got.info, got.p = w.Next(), w.next()
		if got.info.Attempt >= attempt {
			return got
		}
		must(w.t, got.p.Fail(w.Context(), errBroken))
	}
}

var kinds = map[string]func(w *world, timeout time.Duration, attempt int32) waiting{
	"workflow": (*world).ofWorkflow, "standalone": (*world).standalone,
}

// signals returns the signals in Info.
func signals(i async.Info) completer.Signals {
	return completer.Signals{CancelRequested: i.CancelRequested, Paused: i.Paused, Reset: i.Reset}
}

// wantSignals checks the signals of Info and of Heartbeat.
func (w *world) wantSignals(p async.Pending[Decision], want completer.Signals) {
	w.t.Helper()
	if got := signals(w.open(p.ID()).Info()); got != want {
		w.t.Errorf("Info tells %+v, want %+v", got, want)
	}
	err := p.Heartbeat(w.Context())
	got := completer.Signals{
		CancelRequested: errors.Is(err, async.ErrCancelRequested),
		Paused:          errors.Is(err, async.ErrPaused),
		Reset:           errors.Is(err, async.ErrReset),
	}
	if got != want || err == nil != (want == completer.Signals{}) {
		w.t.Errorf("Heartbeat returns %v, want %+v", err, want)
	}
}

// One hub starts and answers, and another one heartbeats and calls hooks. Both
// hubs know the signals.
func TestSignals(t *testing.T) {
	t.Parallel()
	type signal = completer.Signals
	for name, c := range map[string]struct {
		attempt               int32
		pause, cancel, reset  bool
		workflow, standalone  signal // the signals that are known
		hooks, standaloneOnes []string
	}{
		"cancel": {
			attempt: 1, cancel: true,
			workflow: signal{CancelRequested: true}, standalone: signal{CancelRequested: true},
			hooks: []string{"cancel"}, standaloneOnes: []string{"cancel"},
		},
		"pause": {
			attempt: 1, pause: true,
			workflow: signal{Paused: true}, standalone: signal{Paused: true},
			hooks: []string{"pause"}, standaloneOnes: []string{"pause"},
		},
		"reset": {
			attempt: 1, reset: true,
			workflow: signal{Reset: true}, standalone: signal{Reset: true},
			hooks: []string{"reset"}, standaloneOnes: []string{"reset"},
		},
		// The reset renumbers a workflow's activity, and its token becomes
		// unknown.
		"reset of attempt 2": {
			attempt: 2, reset: true,
			workflow: signal{Reset: true}, standalone: signal{Reset: true},
			hooks: []string{"reset"}, standaloneOnes: []string{"reset"},
		},
		// Without a workflow, the server reports only one signal.
		"pause and cancel": {
			attempt: 1, pause: true, cancel: true,
			workflow: signal{CancelRequested: true, Paused: true}, standalone: signal{CancelRequested: true},
			hooks: []string{"cancel", "pause"}, standaloneOnes: []string{"cancel"},
		},
		"all": {
			attempt: 1, pause: true, cancel: true, reset: true,
			workflow: signal{CancelRequested: true, Paused: true, Reset: true}, standalone: signal{CancelRequested: true},
			hooks: []string{"cancel", "pause", "reset"}, standaloneOnes: []string{"cancel"},
		},
		"all of attempt 2": {
			attempt: 2, pause: true, cancel: true, reset: true,
			workflow: signal{CancelRequested: true, Paused: true, Reset: true}, standalone: signal{CancelRequested: true},
			hooks: []string{"cancel", "pause", "reset"}, standaloneOnes: []string{"cancel"},
		},
	} {
		for kind, start := range kinds {
			want, hooks := c.workflow, c.hooks
			if kind == "standalone" {
				want, hooks = c.standalone, c.standaloneOnes
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				w := newWorld(t, config{})
				a := start(w, often, c.attempt)
				// All signals arrive before the first heartbeat.
				if c.pause {
					w.Pause(a.info)
				}
				if c.reset { // the reset comes before the cancellation, because the server resets no standalone activity after it
					w.Reset(a.info)
				}
				if c.cancel {
					a.cancel()
					w.cancelRequested(a)
				}
				told := newTellings()
				runHub(t, w.another(beatingHub(told)))
				told.each(t, a.p.Callback, nil, hooks...)
				rig.Eventually(t, "the callback has the signals", func() bool { return signals(w.open(a.p.ID()).Info()) == want })
				w.wantSignals(a.p, want)
				must(t, a.p.Complete(w.Context(), approved))
				if err := a.result(); err != nil && !(c.cancel && kind == "workflow" && temporal.IsCanceledError(err)) {
					t.Errorf("the end is %v, want the result", err)
				}
				told.noneBut(t, hooks...)
			})
		}
	}
}

// cancelRequested waits until the workflow has passed the request to the
// activity.
func (w *world) cancelRequested(a waiting) {
	w.t.Helper()
	target := completer.Target{
		Namespace: a.info.Namespace, WorkflowID: a.info.WorkflowExecution.ID, RunID: a.info.WorkflowExecution.RunID,
		ActivityID: a.info.ActivityID, ActivityRunID: a.info.ActivityRunID, Scheduled: a.info.ScheduledTime, Started: a.info.StartedTime,
	}
	rig.Eventually(w.t, "the request has reached the activity", func() bool {
		status, err := w.completer.Describe(w.Context(), target, "")
		must(w.t, err)
		return status.CancelRequested
	})
}

// A heartbeat finds the end, and the Over hook is called.
func TestBeatsLearnOfTheEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world) async.Pending[Decision]{
		"workflow": func(w *world) async.Pending[Decision] {
			run := w.Start(awaitDecision, beating(often))
			p := w.next()
			must(w.t, w.Client.TerminateWorkflow(w.Context(), run.GetID(), run.GetRunID(), "a test"))
			return p
		},
		"standalone": func(w *world) async.Pending[Decision] {
			h := w.StartActivity(client.StartActivityOptions{HeartbeatTimeout: often})
			p := w.next()
			must(w.t, h.Terminate(w.Context(), client.TerminateActivityOptions{Reason: "a test"}))
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{})
			p := end(w)
			told := newTellings()
			runHub(t, w.another(beatingHub(told)))
			told.next(t, "over", p.Callback, completer.ErrOver)
			wantErr(t, p.Heartbeat(w.Context(), "half"), async.ErrClosed, completer.ErrOver)
			w.wantState(p, async.Closed)
			told.none(t)
		})
	}
}

// After a pause has ended, the hook is called again for the next pause.
func TestPauseIsLifted(t *testing.T) {
	t.Parallel()
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, config{})
			a := start(w, often, 1)
			told := newTellings()
			runHub(t, w.another(beatingHub(told)))
			for range 2 {
				w.Pause(a.info)
				told.each(t, a.p.Callback, nil, "pause")
				rig.Eventually(t, "the pause is known", func() bool { return w.open(a.p.ID()).Info().Paused }) // the hub knows this pause, and not only the one before
				w.wantSignals(a.p, completer.Signals{Paused: true})
				w.Unpause(a.info)
				rig.Eventually(t, "the pause is lifted", func() bool { return !w.open(a.p.ID()).Info().Paused })
				w.wantSignals(a.p, completer.Signals{})
			}
			told.noneBut(t, "pause")
			must(t, a.p.Complete(w.Context(), approved))
			must(t, a.result())
		})
	}
}

// After a beat has found the request for cancellation, a hub without a
// completer accepts the cancellation without asking Temporal.
func TestReportCanceledAfterABeat(t *testing.T) {
	t.Parallel()
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, config{})
			settles := w.another(func(o *async.Options) { o.Completer = nil })
			a := start(w, often, 1)
			p, err := async.Open[Decision](w.Context(), settles, a.p.ID())
			must(t, err)
			wantErr(t, p.ReportCanceled(w.Context(), "as you wish"), completer.ErrCancelNotRequested)
			told := newTellings()
			runHub(t, w.another(beatingHub(told)))
			a.cancel()
			told.each(t, a.p.Callback, nil, "cancel")
			must(t, p.ReportCanceled(w.Context(), "as you wish"))
			if err := a.result(); !temporal.IsCanceledError(err) {
				t.Errorf("the end is %v, want a cancellation", err)
			}
			told.each(t, a.p.Callback, []string{"cancel"}, "delivered")
		})
	}
}
