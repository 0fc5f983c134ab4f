package answers

import (
	"context"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// lateStart is an activity "late". The first attempt of this activity calls
// Start again whenever the test wants, as a slow or repeating worker does.
type lateStart struct {
	options async.StartOptions
	infos   chan activity.Info // the attempts that have asked
	first   chan struct{}
	call    chan struct{}
	got     chan error
}

func newLateStart(o async.StartOptions) *lateStart {
	l := &lateStart{
		options: o, infos: make(chan activity.Info, 10),
		first: make(chan struct{}, 1), call: make(chan struct{}), got: make(chan error, 1),
	}
	l.first <- struct{}{}
	return l
}

func (l *lateStart) register(w *world, r worker.Registry) {
	w.t.Cleanup(func() { close(l.call) })
	r.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
		ask := func(ctx context.Context, p async.Pending[Decision]) error {
			l.infos <- activity.GetInfo(ctx)
			w.asked <- p.ID()
			return nil
		}
		d, err := async.Start(ctx, w.hub, l.options, ask)
		select {
		case <-l.first:
			for range l.call {
				_, err := async.Start(context.WithoutCancel(ctx), w.hub, l.options, ask)
				l.got <- err
			}
		default:
		}
		return d, err
	}, activity.RegisterOptions{Name: "late"})
}

// again makes the first attempt call Start, and returns the error of Start.
func (l *lateStart) again(t *testing.T) error {
	t.Helper()
	select {
	case l.call <- struct{}{}:
	case <-rig.Context(t).Done():
		t.Fatal("the first attempt isn't there")
	}
	select {
	case err := <-l.got:
		return err
	case <-rig.Context(t).Done():
		t.Fatal("Start hasn't come back")
		return nil
	}
}

// Start, called again by an ended attempt, does not run the function, sends nothing
// and changes nothing.
func TestStartAgainWhenClosed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w *world, p async.Pending[Decision]) error{
		"by a result":               func(w *world, p async.Pending[Decision]) error { return p.Complete(w.Context(), approved) },
		"by a rejection":            func(w *world, p async.Pending[Decision]) error { return p.Reject(w.Context(), errBroken) },
		"by a failure, in back-off": func(w *world, p async.Pending[Decision]) error { return p.Fail(w.Context(), errBroken) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLateStart(async.StartOptions{})
			w := newWorld(t, config{register: func(w *world, r worker.Registry) {
				l.register(w, r)
				registerFlow(r, "late", patient())
			}})
			w.Start("late")
			p := w.next()
			must(t, answer(w, p))
			before := w.wantState(p, async.Closed)
			if err := l.again(t); err != activity.ErrResultPending {
				t.Errorf("Start returned %v, want ErrResultPending", err)
			}
			w.none()
			if after := w.wantState(p, async.Closed); !before.Delivered || after.Ended != before.Ended {
				t.Errorf("the callback told %+v, and now %+v", before, after)
			}
			if w.completer.sent != 1 {
				t.Errorf("sent %d times, want once", w.completer.sent)
			}
		})
	}
}

// A reset in backoff makes the token of the first attempt valid again, for the
// next attempt. An accepted failure of the first attempt has that token. Run
// does not use the token of that failure. The next attempt's Start asks again,
// because the server does not show whether it has accepted the failure.
func TestRevivedTokenIsNotUsed(t *testing.T) {
	hooks := newTellings()
	g := newGate()
	g.options = short()
	w := newWorld(t, config{register: g.register, hub: running(hooks)})
	run := w.Start("gated")
	p := w.next()
	w.completer.set(true, nil)
	must(t, p.Fail(w.Context(), retrySoon()))
	w.completer.set(false, nil)
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	i := w.wantState(p, async.Settled)
	info := activity.Info{WorkflowExecution: workflow.Execution{ID: i.WorkflowID, RunID: i.RunID}, ActivityID: i.ActivityID}
	// The next attempt must not time out. The server ends an activity whose next
	// attempt, here in an hour, would come after its schedule-to-close timeout.
	w.ExtendScheduleToClose(info, 2*time.Hour)
	w.Reset(info)
	awaitClosed(t, g.in)
	w.run()
	rig.Eventually(t, "Run has looked twice", func() bool {
		now := w.open(p.ID()).Info()
		if now.State != async.Settled {
			t.Fatalf("the callback is %v, want settled: %+v", now.State, now)
		}
		return now.Deliveries >= i.Deliveries+2
	})
	if p := w.Pending(run); p.GetAttempt() != 1 || p.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED {
		t.Errorf("pending is attempt %d, %v, want attempt 1, running", p.GetAttempt(), p.GetState())
	}
	hooks.none(t)
	close(g.release)
	q := w.next() // the request of a still later attempt
	if q.ID() == p.ID() {
		t.Error("the new round has the old callback ID")
	}
	w.wantPending(run, 1)
	hooks.next(t, "over", p.Callback, async.ErrUnknownEnd)
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}
