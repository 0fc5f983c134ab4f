package answers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// gate delays attempts before they call Start. The first attempt passes, and
// the attempts after it wait for the release, whatever their number.
type gate struct {
	options          workflow.ActivityOptions
	in, release, out chan struct{}
	begun            atomic.Int32
	enter, leave     sync.Once
	err              atomic.Value // the error of the first late Start
}

func newGate() *gate {
	return &gate{options: expiring(), in: make(chan struct{}), release: make(chan struct{}), out: make(chan struct{})}
}

func (g *gate) register(w *world, r worker.Registry) {
	r.RegisterActivityWithOptions(func(ctx context.Context) (any, error) {
		late := g.begun.Add(1) > 1
		if late {
			g.enter.Do(func() { close(g.in) })
			<-g.release
			ctx = context.WithoutCancel(ctx) // the activity's context may have ended
		}
		_, err := async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
			w.asked <- p.ID()
			return nil
		})
		if late {
			g.leave.Do(func() {
				g.err.Store(err)
				close(g.out)
			})
		}
		return nil, err
	}, activity.RegisterOptions{Name: "gated"})
	registerFlow(r, "gated", g.options)
}

func awaitClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-rig.Context(t).Done():
		t.Fatal("waited in vain")
	}
}

// registerFlow registers a workflow that returns the result of the activity
// with the same name.
func registerFlow(r worker.Registry, name string, o workflow.ActivityOptions) {
	r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (Decision, error) {
		var d Decision
		return d, await(ctx, o, name).Get(ctx, &d)
	}, workflow.RegisterOptions{Name: name})
}

// A second Start of an attempt that has asked does not run the function.
func TestStartTwiceAsksOnce(t *testing.T) {
	second := make(chan error, 1)
	w := newWorld(t, config{register: func(w *world, r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
			ask := func(_ context.Context, p async.Pending[Decision]) error {
				w.asked <- p.ID()
				return nil
			}
			if _, err := async.Start(ctx, w.hub, async.StartOptions{}, ask); err != activity.ErrResultPending {
				return Decision{}, err
			}
			d, err := async.Start(ctx, w.hub, async.StartOptions{}, ask)
			second <- err
			return d, err
		}, activity.RegisterOptions{Name: "double"})
		registerFlow(r, "double", patient())
	}})
	run := w.Start("double")
	p := w.next()
	if err := <-second; err != activity.ErrResultPending {
		t.Errorf("the second Start returned %v, want ErrResultPending", err)
	}
	w.none()
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// After a failed hand-off, it is not known whether the function sent the
// request.
func TestStartAgainAfterAFailedHandOff(t *testing.T) {
	w := newWorld(t, config{register: func(w *world, r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
			fails := true
			ask := func(_ context.Context, p async.Pending[Decision]) error {
				w.asked <- p.ID()
				if fails {
					return errBroken
				}
				return nil
			}
			if _, err := async.Start(ctx, w.hub, async.StartOptions{}, ask); !errors.Is(err, errBroken) {
				return Decision{}, fmt.Errorf("the first Start returned %w", err)
			}
			fails = false
			return async.Start(ctx, w.hub, async.StartOptions{}, ask)
		}, activity.RegisterOptions{Name: "double"})
		registerFlow(r, "double", patient())
	}})
	run := w.Start("double")
	first, second := w.next(), w.next()
	if first.ID() != second.ID() {
		t.Errorf("the callback IDs are %v and %v, want one", first, second)
	}
	must(t, first.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// Errors and panics of the function are errors and panics of the activity. A
// caller with the callback ID can still answer.
func TestFailedHandOff(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errBroken },
		"panic": func() error { panic("errBroken") },
	} {
		t.Run(name, func(t *testing.T) {
			var failed atomic.Bool
			w := newWorld(t, config{during: func(context.Context, *world, async.Pending[Decision]) error {
				if failed.CompareAndSwap(false, true) {
					return fail()
				}
				return nil
			}})
			run := w.Start(awaitDecision, quick())
			first, second := w.next(), w.next()
			w.wantPending(run, 2)
			if first.ID() != second.ID() {
				t.Errorf("the callback IDs are %v and %v, want one", first, second)
			}
			must(t, first.Complete(w.Context(), approved))
			w.wantResult(run, approved)
		})
	}
}

// The hand-off of the last attempt failed. A hub soon asks Temporal whether the
// activity is over, and calls the Over hook.
func TestFailedHandOffOfTheLastAttempt(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks), during: func(context.Context, *world, async.Pending[Decision]) error { return errBroken }})
	o := patient()
	o.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
	run := w.Start(awaitDecision, o)
	p := w.next()
	w.run()
	if err := asFailed(t, run.Get(w.Context(), nil)); err.Message() != errBroken.Error() {
		t.Errorf("the workflow got %v, want the function's error", err)
	}
	hooks.next(t, "over", p.Callback, completer.ErrOver)
	wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, completer.ErrOver)
}

// An attempt with a slow worker calls Start after the next attempt has called
// it.
func TestStartOfAnEarlierAttempt(t *testing.T) {
	release, late := make(chan struct{}), make(chan error, 1)
	w := newWorld(t, config{register: func(w *world, r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
			first := activity.GetInfo(ctx).Attempt == 1
			if first {
				<-release
				ctx = context.WithoutCancel(ctx) // the activity's context has ended
			}
			d, err := async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
				w.asked <- p.ID()
				return nil
			})
			if first {
				late <- err
			}
			return d, err
		}, activity.RegisterOptions{Name: "slow"})
		o := quick()
		o.StartToCloseTimeout = 5 * time.Second
		registerFlow(r, "slow", o)
	}})
	run := w.Start("slow")
	p := w.next() // the second attempt's
	close(release)
	if err := <-late; err != activity.ErrResultPending {
		t.Errorf("the first attempt's Start returned %v, want ErrResultPending", err)
	}
	w.none()
	if a := w.open(p.ID()).Info().Attempt; a != 2 {
		t.Errorf("the entry knows attempt %d, want 2", a)
	}
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// The function of one attempt is still running when the next attempt asks.
func TestSlowHandOff(t *testing.T) {
	var calls atomic.Int32
	second := make(chan struct{})
	w := newWorld(t, config{during: func(context.Context, *world, async.Pending[Decision]) error {
		switch calls.Add(1) {
		case 1:
			<-second
		case 2:
			close(second)
		}
		return nil
	}})
	run := w.Start(awaitDecision, expiring())
	first, next := w.next(), w.next()
	if first.ID() != next.ID() {
		t.Errorf("the callback IDs are %v and %v, want one", first, next)
	}
	must(t, first.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// changing registers an activity whose first attempt awaits a Decision. Later
// attempts await an Other, as after a deployment.
func changing(others chan<- string) func(w *world, r worker.Registry) {
	return func(w *world, r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) (any, error) {
			if activity.GetInfo(ctx).Attempt == 1 {
				return async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
					w.asked <- p.ID()
					return nil
				})
			}
			return async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Other]) error {
				others <- p.ID()
				return nil
			})
		}, activity.RegisterOptions{Name: "changing"})
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (Other, error) {
			var other Other
			o := quick()
			o.StartToCloseTimeout = brief
			return other, await(ctx, o, "changing").Get(ctx, &other)
		}, workflow.RegisterOptions{Name: "changing"})
	}
}

func TestTypeChangesWhileItWaits(t *testing.T) {
	others := make(chan string, 10)
	w := newWorld(t, config{register: changing(others)})
	run := w.Start("changing")
	p := w.next()
	id := <-others
	if id == p.ID() {
		t.Error("the new type has the old callback ID")
	}
	wantErr(t, p.Complete(w.Context(), approved), async.ErrSuperseded)
	_, err := async.Open[Decision](w.Context(), w.hub, id)
	wantErr(t, err, async.ErrTypeMismatch)
	q, err := async.Open[Other](w.Context(), w.hub, id)
	must(t, err)
	must(t, q.Complete(w.Context(), Other{Amount: 7}))
	var got Other
	if err := run.Get(w.Context(), &got); err != nil || got.Amount != 7 {
		t.Errorf("the workflow read %+v, %v", got, err)
	}
}

// The outcome for the old type is not delivered, and the Over hook is called.
func TestTypeChangesWhenSettled(t *testing.T) {
	others := make(chan string, 10)
	hooks := newTellings()
	w := newWorld(t, config{register: changing(others), hub: running(hooks)})
	run := w.Start("changing")
	p := w.next()
	w.completer.set(true, nil)
	must(t, p.Complete(w.Context(), approved))
	w.completer.set(false, nil)
	id := <-others
	w.run()
	hooks.next(t, "over", p.Callback, async.ErrTypeMismatch)
	wantErr(t, p.Complete(w.Context(), approved), async.ErrSuperseded)
	q, err := async.Open[Other](w.Context(), w.hub, id)
	must(t, err)
	must(t, q.Complete(w.Context(), Other{Amount: 7}))
	var got Other
	if err := run.Get(w.Context(), &got); err != nil || got.Amount != 7 {
		t.Errorf("the workflow read %+v, %v", got, err)
	}
	hooks.next(t, "delivered", q.Callback, nil)
}

// A hub wrongly recorded that the activity is over, and the activity continues.
func TestItWasNotOver(t *testing.T) {
	t.Parallel()
	over := func(s *completer.Status) { *s = completer.Status{End: completer.EndOther} }
	t.Run("answered", func(t *testing.T) {
		w := newWorld(t, config{})
		run := w.Start(awaitDecision, expiring())
		p := w.next()
		w.completer.misjudge(over)
		w.completer.block(true)
		wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, completer.ErrOver)
		w.completer.misjudge(nil)
		w.completer.block(false)
		w.wantResult(run, approved) // the next attempt delivers it and does not run its function
		w.none()
		if i := w.becomes(p, async.Closed); !i.Delivered {
			t.Errorf("the callback tells %+v, want that it was delivered", i)
		}
		must(t, p.Complete(w.Context(), approved))
	})
	t.Run("not answered", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		o := patient()
		o.StartToCloseTimeout = brief
		o.RetryPolicy = &temporal.RetryPolicy{InitialInterval: brief}
		run := w.Start(awaitDecision, o)
		p := w.next()
		w.completer.misjudge(over)
		w.run()
		hooks.next(t, "over", p.Callback, completer.ErrOver) // the question at the attempt's deadline finds the end
		w.completer.misjudge(nil)
		q := w.next()
		if q.ID() == p.ID() {
			t.Error("the new round has the old callback ID")
		}
		wantErr(t, p.Complete(w.Context(), approved), async.ErrSuperseded)
		must(t, q.Complete(w.Context(), approved))
		w.wantResult(run, approved)
	})
}
