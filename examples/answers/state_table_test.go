package answers

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// A result gets NotFound by token and by ID while the activity is pending,
// because the activity changed its state between the two calls. The delivery is
// retried.
func TestResultBetweenTwoStatesIsRetried(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	w.completer.block(true)
	must(t, p.Complete(w.Context(), approved))
	if i := w.wantState(p, async.Settled); i.LastError != "no attempt" || i.Deliveries != 1 || !i.NextDelivery.After(i.Settled) {
		t.Errorf("the callback tells %+v, want one try that found no attempt, and a later one", i)
	}
	w.run()
	rig.Eventually(t, "two tries in vain", func() bool { return w.wantState(p, async.Settled).Deliveries >= 2 })
	hooks.none(t)
	w.wantPending(run, 1)
	w.completer.block(false)
	w.wantResult(run, approved)
	hooks.next(t, "delivered", p.Callback, nil)
}

// A failure is accepted in backoff, and the activity times out before the next
// attempt. The failure ended no attempt, and the Over hook is called.
func TestFailureInBackOffExpires(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	o := patient()
	o.StartToCloseTimeout = brief
	run := w.Start(awaitDecision, o)
	info := w.Next()
	p := w.next()
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	must(t, p.Reject(w.Context(), errBroken))
	w.wantState(p, async.Settled)
	w.run()
	rig.Eventually(t, "a look while it is pending", func() bool { return w.open(p.ID()).Info().Deliveries >= 2 })
	hooks.none(t)
	w.ExtendScheduleToClose(info, time.Second) // which has passed
	if err := run.Get(w.Context(), nil); err == nil {
		t.Fatal("the workflow has a result")
	}
	hooks.next(t, "over", p.Callback, async.ErrExpired)
	if i := w.wantState(p, async.Closed); i.Delivered || i.Outcome != "failure" {
		t.Errorf("the callback tells %+v, want a failure that wasn't delivered", i)
	}
	wantErr(t, p.Reject(w.Context(), errBroken), async.ErrClosed, async.ErrExpired)
	hooks.none(t)
}

// A hub that only settles accepts the answer while the function runs: Start
// delivers the answer, whatever the function returns.
func TestStartDeliversWhatWasSettledMeanwhile(t *testing.T) {
	t.Parallel()
	for name, returns := range map[string]error{"nil": nil, "error": errBroken} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{during: func(ctx context.Context, w *world, p async.Pending[Decision]) error {
				q, err := async.Open[Decision](ctx, w.another(func(o *async.Options) { o.Completer = nil }), p.ID())
				if err == nil {
					err = q.Complete(ctx, approved)
				}
				if err != nil {
					t.Errorf("unexpected error: %v", err)
				}
				if i := w.wantState(q, async.Settled); i.Deliveries != 0 {
					t.Errorf("the callback tells %+v, want that nobody has delivered", i)
				}
				return returns
			}})
			run := w.Start(awaitDecision, patient())
			p := w.next()
			w.wantResult(run, approved)
			if i := w.becomes(p, async.Closed); !i.Delivered || i.Attempt != 1 {
				t.Errorf("the callback tells %+v, want that it was delivered by the first attempt", i)
			}
			w.none()
		})
	}
}

// External storage fails when the outcome is sent. The outcome is accepted
// nevertheless, and sent again.
func TestStorageThatFails(t *testing.T) {
	storage, hooks := new(rig.Storage), newTellings()
	w := newWorld(t, config{
		client: client.Options{ExternalStorage: converter.ExternalStorage{
			Drivers: []converter.StorageDriver{storage}, PayloadSizeThreshold: 1,
		}},
		hub: running(hooks),
	})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	storage.Fail(2)
	must(t, p.Complete(w.Context(), approved))
	if i := w.wantState(p, async.Settled); i.LastError != "unavailable" {
		t.Errorf("the last error is %q", i.LastError)
	}
	w.wantPending(run, 1)
	w.run()
	w.wantResult(run, approved)
	hooks.next(t, "delivered", p.Callback, nil)
	if i := w.wantState(p, async.Closed); i.Deliveries != 3 {
		t.Errorf("delivered by try %d, want 3", i.Deliveries)
	}
	hooks.none(t)
}

// A standalone activity can have a business key like any other activity.
func TestStandaloneActivityWithAKey(t *testing.T) {
	t.Parallel()
	t.Run("answered", func(t *testing.T) {
		key := newKey()
		w := newWorld(t, config{start: keyed(key)})
		h := w.StartActivity(client.StartActivityOptions{})
		p := w.next()
		must(t, w.openKey(key, async.KeyOptions{Namespace: w.Namespace}).Complete(w.Context(), approved))
		w.wantOutcome(h, approved)
		wantErr(t, p.Complete(w.Context(), Decision{}), async.ErrSettled)
	})
	t.Run("answered early", func(t *testing.T) {
		key := newKey()
		w := newWorld(t, config{start: keyed(key)})
		must(t, w.openKey(key, early()).Complete(w.Context(), approved))
		w.wantOutcome(w.StartActivity(client.StartActivityOptions{}), approved)
		w.none()
	})
	t.Run("in use, then free", func(t *testing.T) {
		w := newWorld(t, config{start: keyed(newKey())})
		first := w.StartActivity(client.StartActivityOptions{})
		p := w.next()
		w.Next()
		second := w.StartActivity(client.StartActivityOptions{RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1}})
		w.Next()
		rig.Eventually(t, "the refusal", func() bool {
			return strings.Contains(w.DescribeActivity(second).GetInfo().GetLastFailure().GetMessage(), "key in use")
		})
		w.none()
		must(t, p.Complete(w.Context(), Decision{By: "the first"}))
		w.wantOutcome(first, Decision{By: "the first"})
		q := w.next()
		if q.ID() == p.ID() {
			t.Error("the new round has the old callback ID")
		}
		must(t, q.Complete(w.Context(), approved))
		w.wantOutcome(second, approved)
	})
	for name, settled := range map[string]bool{"waiting": false, "settled": true} {
		t.Run("taken over, "+name, func(t *testing.T) {
			w := newWorld(t, config{start: keyed(newKey())})
			o := client.StartActivityOptions{ID: "approve-" + w.Queue}
			first := w.StartActivity(o)
			p := w.next()
			if settled {
				w.completer.set(true, nil)
				must(t, p.Complete(w.Context(), Decision{By: "the first"}))
				w.completer.set(false, nil)
			}
			must(t, first.Terminate(w.Context(), client.TerminateActivityOptions{Reason: "a test"}))
			second := w.StartActivity(o)
			q := w.next() // Start also sends a request if the first activity's answer was not delivered
			if (q.ID() == p.ID()) == settled {
				t.Errorf("the activities have the callback IDs %v and %v, want one, or two after an answer", p, q)
			}
			must(t, q.Complete(w.Context(), approved))
			w.wantOutcome(second, approved)
			w.none()
		})
	}
}
