package answers

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// newKey returns a business key of the test's own.
func newKey() string { return "order-" + rand.Text() }

func keyed(key string) async.StartOptions { return async.StartOptions{Key: key} }

// early makes the store keep an answer until its activity arrives.
func early() async.KeyOptions { return async.KeyOptions{Namespace: "default", Early: time.Minute} }

func (w *world) openKey(key string, o async.KeyOptions) async.Pending[Decision] {
	w.t.Helper()
	p, err := async.OpenKey[Decision](w.Context(), w.hub, key, o)
	must(w.t, err)
	return p
}

func TestOpenKey(t *testing.T) {
	key := newKey()
	w := newWorld(t, config{start: keyed(key)})
	_, err := async.OpenKey[Decision](w.Context(), w.hub, key, async.KeyOptions{Namespace: "default"})
	wantErr(t, err, async.ErrNotFound)
	run := w.Start(awaitDecision, patient())
	byID := w.next()
	_, err = async.OpenKey[Other](w.Context(), w.hub, key, async.KeyOptions{Namespace: "default"})
	wantErr(t, err, async.ErrTypeMismatch)
	_, err = async.OpenKey[Decision](w.Context(), w.hub, key, async.KeyOptions{Namespace: "second"})
	wantErr(t, err, async.ErrNotFound)
	must(t, w.openKey(key, async.KeyOptions{Namespace: "default"}).Complete(w.Context(), approved))
	w.wantResult(run, approved)
	wantErr(t, byID.Complete(w.Context(), Decision{}), async.ErrSettled)
}

// The answer arrives before its activity. Start delivers the answer and does
// not run the function.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]client.Options{"plain": {}, "bound to the activity by a codec": sealing()} {
		t.Run(name, func(t *testing.T) {
			key := newKey()
			hooks := newTellings()
			w := newWorld(t, config{client: c, start: keyed(key), hub: running(hooks)})
			p := w.openKey(key, early())
			wantErr(t, p.ReportCanceled(w.Context()), completer.ErrCancelNotRequested)
			must(t, p.Complete(w.Context(), approved))
			must(t, w.openKey(key, early()).Complete(w.Context(), approved))
			wantErr(t, w.openKey(key, early()).Complete(w.Context(), Decision{}), async.ErrSettled)
			run := w.Start(awaitDecision, patient())
			w.wantResult(run, approved)
			w.none()
			must(t, w.openKey(key, early()).Complete(w.Context(), approved))
			wantErr(t, w.openKey(key, early()).Reject(w.Context(), errBroken), async.ErrSettled)
			w.run()
			hooks.next(t, "delivered", w.openKey(key, early()).Callback, nil)
		})
	}
}

// Only a result may arrive before its activity.
func TestEarlyFailure(t *testing.T) {
	key := newKey()
	w := newWorld(t, config{start: keyed(key)})
	wantErr(t, w.openKey(key, early()).Reject(w.Context(), errBroken), async.ErrNotFound)
	wantErr(t, w.openKey(key, early()).Fail(w.Context(), errBroken), async.ErrNotFound)
	run := w.Start(awaitDecision, quick())
	first := w.next()
	must(t, w.openKey(key, early()).Fail(w.Context(), errBroken))
	p := w.next()
	if p.ID() == first.ID() {
		t.Error("the round after the failure has the callback ID of the one before")
	}
	w.wantPending(run, 2)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestEarlyAnswerExpires(t *testing.T) {
	key := newKey()
	hooks := newTellings()
	w := newWorld(t, config{start: keyed(key), hub: running(hooks)})
	o := early()
	o.Early = brief
	must(t, w.openKey(key, o).Complete(w.Context(), approved))
	p := w.openKey(key, o)
	w.run()
	if got := hooks.next(t, "over", p.Callback, async.ErrExpired).Info(); got.Key != key {
		t.Errorf("the hook was told of key %q, want %q", got.Key, key)
	}
	wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, async.ErrExpired)
	run := w.Start(awaitDecision, patient())
	q := w.next() // the answer is gone, so the external system gets a request
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// The early answer has another type. The Over hook is called, the answer is
// dropped, and the function runs.
func TestEarlyAnswerOfAnotherType(t *testing.T) {
	key := newKey()
	hooks := newTellings()
	w := newWorld(t, config{start: keyed(key), hub: running(hooks)})
	other, err := async.OpenKey[Other](w.Context(), w.hub, key, early())
	must(t, err)
	must(t, other.Complete(w.Context(), Other{Amount: 7}))
	dropped, err := async.OpenKey[Other](w.Context(), w.hub, key, early())
	must(t, err)
	run := w.Start(awaitDecision, patient())
	p := w.next()
	w.run()
	hooks.next(t, "over", dropped.Callback, async.ErrTypeMismatch)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// While an activity has the key, an activity of another workflow cannot use it.
func TestKeyInUse(t *testing.T) {
	key := newKey()
	w := newWorld(t, config{start: keyed(key)})
	first := w.Start(awaitDecision, patient())
	p := w.next()
	o := patient()
	o.RetryPolicy = &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1}
	second := w.Start(awaitDecision, o)
	w.AwaitPending(second, "the refusal", func(p *workflowpb.PendingActivityInfo) bool {
		return strings.Contains(p.GetLastFailure().GetMessage(), async.ErrKeyInUse.Error()[len("async: "):])
	})
	w.none()
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(first, approved)
	q := w.next() // the key is free, and its next activity asks again
	if q.ID() == p.ID() {
		t.Error("the new round has the old callback ID")
	}
	must(t, p.Complete(w.Context(), approved)) // a repeat of the old answer
	wantErr(t, p.Complete(w.Context(), Decision{}), async.ErrSettled)
	w.wantPending(second, w.Pending(second).GetAttempt())
	must(t, q.Complete(w.Context(), Decision{By: "Bob"}))
	w.wantResult(second, Decision{By: "Bob"})
}

// Two activities of one workflow use one key at the same time.
func TestKeyInUseInTheSameWorkflow(t *testing.T) {
	key := newKey()
	w := newWorld(t, config{start: keyed(key), register: func(_ *world, r worker.Registry) {
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (Decision, error) {
			var d Decision
			o := patient()
			o.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
			first, second := await(ctx, o, rig.Activity), await(ctx, o, rig.Activity)
			refused := 0
			for _, answer := range []workflow.Future{first, second} {
				if err := answer.Get(ctx, &d); err != nil && strings.Contains(err.Error(), "key in use") {
					refused++
				}
			}
			if refused != 1 {
				return d, temporal.NewNonRetryableApplicationError("not exactly one was refused", "", nil)
			}
			return d, nil
		}, workflow.RegisterOptions{Name: "both"})
	}})
	run := w.Start("both")
	p := w.next()
	w.Next()
	w.Next()
	rig.Eventually(t, "the refusal", func() bool { return len(w.Describe(run).GetPendingActivities()) == 1 })
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.none()
}

// The next run of the workflow takes over the waiting round, and the answer
// arrives there.
func TestNextRunTakesOverByKey(t *testing.T) {
	w := newWorld(t, config{register: leaving, start: keyed(newKey())})
	run := w.Start("leaving", true)
	p := w.next()
	w.leave(run)
	q := w.next()
	if p.ID() != q.ID() {
		t.Errorf("the runs have the callback IDs %v and %v, want one", p, q)
	}
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(w.last(run), approved)
}

// With Once, the next run does not run the function.
func TestNextRunTakesOverOnce(t *testing.T) {
	w := newWorld(t, config{register: leaving, start: async.StartOptions{Key: newKey(), Once: true}})
	run := w.Start("leaving", true)
	p := w.next()
	w.Next()
	must(t, p.Remember(w.Context(), "job 42")) // this proves that the function has run
	w.leave(run)
	w.Next()
	rig.Eventually(t, "the take-over", func() bool { return w.open(p.ID()).Info().RunID != run.GetRunID() })
	w.none()
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(w.last(run), approved)
}

// The answer was accepted, and never reached the old run. The Over hook is
// called, and the new run asks again.
func TestNextRunAsksAfterTheUndelivered(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{register: leaving, start: keyed(newKey()), hub: running(hooks)})
	run := w.Start("leaving", true)
	p := w.next()
	w.completer.set(true, nil)
	must(t, p.Complete(w.Context(), approved))
	w.completer.set(false, nil)
	w.wantState(p, async.Settled)
	w.leave(run)
	q := w.next()
	if p.ID() == q.ID() {
		t.Error("the new round has the old callback ID")
	}
	wantErr(t, p.Complete(w.Context(), approved), async.ErrSuperseded)
	w.run()
	hooks.next(t, "over", p.Callback, completer.ErrOver)
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(w.last(run), approved)
}

// rounds registers a workflow whose first run continues as new after its
// activity was answered.
func rounds(_ *world, r worker.Registry) {
	r.RegisterWorkflowWithOptions(func(ctx workflow.Context, first bool) (Decision, error) {
		var d Decision
		err := await(ctx, patient(), rig.Activity).Get(ctx, &d)
		if first && err == nil {
			err = workflow.NewContinueAsNewError(ctx, "rounds", false)
		}
		return d, err
	}, workflow.RegisterOptions{Name: "rounds"})
}

// The old run has got the answer. The new run asks again, even if the reply was
// lost.
func TestNextRunAsksAnew(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]func(error) error{"delivered": nil, "reply lost": lose} {
		t.Run(name, func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{register: rounds, start: keyed(newKey()), hub: running(hooks)})
			run := w.Start("rounds", true)
			p := w.next()
			w.completer.set(false, reply)
			must(t, p.Complete(w.Context(), Decision{By: "the first"}))
			w.completer.set(false, nil)
			q := w.next()
			if p.ID() == q.ID() {
				t.Error("the new round has the old callback ID")
			}
			must(t, p.Complete(w.Context(), Decision{By: "the first"}))
			wantErr(t, p.Complete(w.Context(), approved), async.ErrSettled)
			w.run()
			hooks.next(t, "delivered", p.Callback, nil)
			must(t, q.Complete(w.Context(), approved))
			w.wantResult(w.last(run), approved)
		})
	}
}

// The activity of the old run has failed permanently or timed out, and the new
// run asks again.
func TestNextRunAfterAnEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, p async.Pending[Decision]){
		"rejected":  func(w *world, p async.Pending[Decision]) { must(w.t, p.Reject(w.Context(), errBroken)) },
		"timed out": func(*world, async.Pending[Decision]) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{start: keyed(newKey()), register: func(_ *world, r worker.Registry) {
				r.RegisterWorkflowWithOptions(func(ctx workflow.Context, first bool) (Decision, error) {
					var d Decision
					o := patient()
					if first {
						o.ScheduleToCloseTimeout = soon
					}
					err := await(ctx, o, rig.Activity).Get(ctx, &d)
					if first {
						err = workflow.NewContinueAsNewError(ctx, "failing", false)
					}
					return d, err
				}, workflow.RegisterOptions{Name: "failing"})
			}})
			run := w.Start("failing", true)
			p := w.next()
			end(w, p)
			q := w.next()
			if same := p.ID() == q.ID(); same != (name == "timed out") {
				t.Errorf("the runs have one callback ID: %v", same)
			}
			must(t, q.Complete(w.Context(), approved))
			w.wantResult(w.last(run), approved)
		})
	}
}

// With a key, only an idempotency key identifies a repeat of an older answer.
func TestIdempotencyKeyOverRounds(t *testing.T) {
	key := newKey()
	w := newWorld(t, config{start: keyed(key)})
	run := w.Start(awaitDecision, quick())
	w.next()
	o := async.KeyOptions{Namespace: "default"}
	first := async.WithIdempotencyKey(w.Context(), "event 1")
	must(t, w.openKey(key, o).Fail(first, errBroken))
	w.next()
	must(t, w.openKey(key, o).Fail(first, errBroken))
	w.wantPending(run, 2)
	must(t, w.openKey(key, o).Complete(async.WithIdempotencyKey(w.Context(), "event 2"), approved))
	w.wantResult(run, approved)
}
