package answers

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// counting counts the beats that are sent through it.
type counting struct {
	completer.Completer
	beats atomic.Int64
}

func (c *counting) Heartbeat(ctx context.Context, t completer.Target, d *commonpb.Payloads) (completer.Signals, error) {
	c.beats.Add(1)
	return c.Completer.Heartbeat(ctx, t, d)
}

// toiling is a function that records details and then runs as long as the test
// needs.
func toiling(release <-chan struct{}) func(ctx context.Context, w *world, p async.Pending[Decision]) error {
	return func(ctx context.Context, _ *world, _ async.Pending[Decision]) error {
		activity.RecordHeartbeat(ctx, "job 42")
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// outlived waits until an attempt has been alive for longer than its heartbeat
// timeout.
func outlived(p *workflowpb.PendingActivityInfo, timeout time.Duration) bool {
	return p.GetLastHeartbeatTime().AsTime().Sub(p.GetLastStartedTime().AsTime()) > timeout
}

// If the function takes longer than the heartbeat timeout, only its worker
// heartbeats for it, and the details that it recorded stay.
func TestFunctionIsKeptAlive(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *async.Options){
		"by the hub":             nil,
		"by the worker's client": func(o *async.Options) { o.Completer = nil },
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			w := newWorld(t, config{hub: change, during: toiling(release)})
			elsewhere := &counting{Completer: w.completer}
			runHub(t, w.another(func(o *async.Options) {
				beatingHub(nil)(o)
				o.Completer = elsewhere
			}))
			run := w.Start(awaitDecision, beating(often))
			p := w.next()
			w.AwaitPending(run, "life beyond the heartbeat timeout", func(p *workflowpb.PendingActivityInfo) bool { return outlived(p, often+often/2) })
			w.wantPending(run, 1)
			w.detailed(run, client.Options{}, "job 42")
			if n := elsewhere.beats.Load(); n != 0 {
				t.Errorf("a pump has beaten %d times while the function ran, want the worker to", n)
			}
			close(release)
			w.beats(run, 3)
			w.detailed(run, client.Options{}, "job 42")
			if elsewhere.beats.Load() == 0 {
				t.Error("the pump has not taken over, and the server has beats")
			}
			must(t, p.Complete(w.Context(), approved))
			w.wantResult(run, approved)
		})
	}
}

// Hooks are called for signals that the worker's own beats find while the function
// runs.
func TestSignalsWhileTheFunctionRuns(t *testing.T) {
	t.Parallel()
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			told, release := newTellings(), make(chan struct{})
			// This function does not heartbeat through the SDK, which would
			// cancel the function's context.
			silent := func(ctx context.Context, _ *world, _ async.Pending[Decision]) error {
				select {
				case <-release:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			w := newWorld(t, config{hub: beatingHub(told), during: silent})
			w.run()
			a := start(w, often, 1)
			a.cancel()
			told.each(t, a.p.Callback, nil, "cancel")
			w.wantSignals(a.p, completer.Signals{CancelRequested: true})
			must(t, a.p.ReportCanceled(w.Context()))
			if err := a.result(); !temporal.IsCanceledError(err) {
				t.Errorf("the end is %v, want a cancellation", err)
			}
			told.each(t, a.p.Callback, []string{"cancel"}, "delivered")
			close(release)
		})
	}
}

// job is an external system that a Probe asks. At first the job is dead.
func job() map[string]heartbeat.Pump {
	return map[string]heartbeat.Pump{"job": heartbeat.Probe(func(_ context.Context, a heartbeat.Activity) (any, error) {
		if a.Attempt == 1 {
			return nil, fmt.Errorf("job %s is gone: %w", a.Reference, heartbeat.ErrDead)
		}
		return fmt.Sprintf("alive in attempt %d", a.Attempt), nil
	}, heartbeat.ProbeOptions{})}
}

func submitted(ctx context.Context, _ *world, p async.Pending[Decision]) error {
	return p.Remember(ctx, "42")
}

// The hub that starts does not need to know the pump, but the running hubs do.
func TestProbe(t *testing.T) {
	t.Parallel()
	config := config{start: async.StartOptions{Pump: "job"}, during: submitted}
	probing := func(o *async.Options) {
		beatingHub(nil)(o)
		o.Pumps = job()
	}
	t.Run("dead, then alive", func(t *testing.T) {
		w := newWorld(t, config)
		runHub(t, w.another(probing))
		run := w.Start(awaitDecision, again(often))
		p, q := w.next(), w.next()
		wantErr(t, p.Complete(w.Context(), approved), async.ErrSettled)
		w.detailed(run, client.Options{}, "alive in attempt 2")
		pending := w.Pending(run)
		failure := pending.GetLastFailure()
		if info := failure.GetApplicationFailureInfo(); info.GetType() != heartbeat.JobDead || info.GetNonRetryable() || pending.GetAttempt() != 2 {
			t.Errorf("attempt %d follows the failure %v, want attempt 2 and a retryable one of type %s", pending.GetAttempt(), failure, heartbeat.JobDead)
		}
		if want := "job 42 is gone: " + heartbeat.ErrDead.Error(); failure.GetMessage() != want {
			t.Errorf("the failure's message is %q, want %q", failure.GetMessage(), want)
		}
		must(t, q.Complete(w.Context(), approved))
		w.wantResult(run, approved)
	})
	t.Run("dead, and not retried", func(t *testing.T) {
		w := newWorld(t, config)
		runHub(t, w.another(probing))
		o := again(often)
		o.RetryPolicy.NonRetryableErrorTypes = []string{heartbeat.JobDead}
		run := w.Start(awaitDecision, o)
		p := w.next()
		if got := asFailed(t, run.Get(w.Context(), nil)); got.Type() != heartbeat.JobDead {
			t.Errorf("the workflow got %v of type %s, want %s", got, got.Type(), heartbeat.JobDead)
		}
		w.becomes(p, async.Closed)
	})
	t.Run("standalone", func(t *testing.T) {
		w := newWorld(t, config)
		runHub(t, w.another(probing))
		h := w.StartActivity(client.StartActivityOptions{HeartbeatTimeout: often, RetryPolicy: quick().RetryPolicy})
		w.next()
		q := w.next()
		d := w.DescribeActivity(h).GetInfo()
		if got := d.GetLastFailure().GetApplicationFailureInfo().GetType(); d.GetAttempt() != 2 || got != heartbeat.JobDead {
			t.Errorf("attempt %d follows a failure of type %q, want attempt 2 and %s", d.GetAttempt(), got, heartbeat.JobDead)
		}
		must(t, q.Complete(w.Context(), approved))
		w.wantOutcome(h, approved)
	})
}

// While the state of the job is unknown, no heartbeat is sent, and the heartbeat
// timeout ends the attempt.
func TestProbeThatDoesNotKnow(t *testing.T) {
	w := newWorld(t, config{start: async.StartOptions{Pump: "job"}})
	var calls atomic.Int64
	runHub(t, w.another(func(o *async.Options) {
		beatingHub(nil)(o)
		o.Pumps = map[string]heartbeat.Pump{"job": heartbeat.Probe(func(context.Context, heartbeat.Activity) (any, error) {
			calls.Add(1)
			return nil, errors.New("the runner doesn't answer")
		}, heartbeat.ProbeOptions{})}
	}))
	run := w.Start(awaitDecision, beating(rarely))
	p := w.next()
	pending := w.AwaitPending(run, "the end of patience", rig.BackOff(2))
	if got := pending.GetLastFailure().GetTimeoutFailureInfo().GetTimeoutType(); got != enumspb.TIMEOUT_TYPE_HEARTBEAT {
		t.Errorf("attempt 1 ended by %v, want its heartbeat time-out", pending.GetLastFailure())
	}
	if calls.Load() < 2 {
		t.Errorf("the job was asked for %d times, want it tried again", calls.Load())
	}
	must(t, p.Complete(w.Context(), approved)) // the attempt is still alive
	w.wantResult(run, approved)
}

// Without a heartbeat timeout, Temporal needs no heartbeats, and the
// application still learns of a cancellation.
func TestSlowWatch(t *testing.T) {
	t.Parallel()
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			watch := map[string]heartbeat.Pump{"": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{Interval: 500 * time.Millisecond})}
			w := newWorld(t, config{hub: func(o *async.Options) { o.Pumps = watch }})
			told := newTellings()
			runHub(t, w.another(func(o *async.Options) {
				beatingHub(told)(o)
				o.Pumps = watch
			}))
			a := start(w, 0, 1)
			a.cancel()
			told.each(t, a.p.Callback, nil, "cancel")
			must(t, a.p.ReportCanceled(w.Context()))
			if err := a.result(); !temporal.IsCanceledError(err) {
				t.Errorf("the end is %v, want a cancellation", err)
			}
		})
	}
}
