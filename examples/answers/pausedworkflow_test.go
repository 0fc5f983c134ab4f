package answers

import (
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// A paused workflow is not over, and its activity accepts an answer.
func TestPausedWorkflow(t *testing.T) {
	t.Parallel()
	t.Run("at the deadline", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		asked := make(chan completer.Status, 100)
		w.completer.misjudge(func(s *completer.Status) { asked <- *s })
		o := patient()
		o.ScheduleToCloseTimeout = soon
		run := w.Start(awaitDecision, o)
		info := w.Next()
		p := w.next()
		w.ExtendScheduleToClose(info, time.Hour) // the pause does not stop the activity's own timers
		w.PauseWorkflow(run)
		w.run()
		select {
		case s := <-asked:
			if !s.Pending || !s.Running {
				t.Errorf("described %+v, want that the activity runs", s)
			}
		case <-rig.Context(t).Done():
			t.Fatal("nobody has asked")
		}
		hooks.none(t)
		w.wantState(p, async.Waiting)
		must(t, p.Complete(w.Context(), approved))
		hooks.next(t, "delivered", p.Callback, nil)
		w.UnpauseWorkflow(run)
		w.wantResult(run, approved)
	})
	t.Run("at the first beat", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		o := patient()
		o.HeartbeatTimeout = 30 * time.Second
		run := w.Start(awaitDecision, o)
		p := w.next()
		w.PauseWorkflow(run)
		w.run()
		rig.Eventually(t, "two beats", func() bool {
			i := w.open(p.ID()).Info()
			if i.State != async.Waiting {
				t.Fatalf("the callback is %v, want waiting: %+v", i.State, i)
			}
			return i.LastBeat.Sub(i.Started) > 12*time.Second
		})
		hooks.none(t)
		must(t, p.Complete(w.Context(), approved))
		w.UnpauseWorkflow(run)
		w.wantResult(run, approved)
	})
	t.Run("after a lost reply", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		run := w.Start(awaitDecision, patient())
		p := w.next()
		w.PauseWorkflow(run)
		w.completer.set(false, lose)
		must(t, p.Complete(w.Context(), approved))
		w.completer.set(false, nil)
		w.run()
		hooks.next(t, "delivered", p.Callback, nil)
		w.UnpauseWorkflow(run)
		w.wantResult(run, approved)
	})
	t.Run("in back-off", func(t *testing.T) {
		w := newWorld(t, config{})
		run := w.Start(awaitDecision, short())
		p := w.next()
		w.AwaitPending(run, "back-off", rig.BackOff(2))
		w.PauseWorkflow(run)
		must(t, p.Complete(w.Context(), approved))
		if i := w.wantState(p, async.Closed); !i.Delivered {
			t.Errorf("the callback tells %+v, want that it was delivered", i)
		}
		w.UnpauseWorkflow(run)
		w.wantResult(run, approved)
	})
	t.Run("at a cancellation", func(t *testing.T) {
		w := newWorld(t, config{})
		run := w.Start(awaitDecision, patient())
		p := w.next()
		w.PauseWorkflow(run)
		if err := p.ReportCanceled(w.Context()); !errors.Is(err, completer.ErrCancelNotRequested) {
			t.Errorf("the error is %v, want ErrCancelNotRequested", err)
		}
		w.UnpauseWorkflow(run)
		must(t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID()))
		w.AwaitPending(run, "the request", func(p *workflowpb.PendingActivityInfo) bool {
			return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
		})
		w.PauseWorkflow(run)
		must(t, p.ReportCanceled(w.Context(), "as you wish"))
		w.wantState(p, async.Closed)
		w.UnpauseWorkflow(run)
		if err := run.Get(w.Context(), nil); !temporal.IsCanceledError(err) {
			t.Errorf("the workflow ended with %v, want a cancellation", err)
		}
	})
}
