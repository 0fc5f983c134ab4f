package answers

import (
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// rewinding has a keyed activity in a workflow. While the activity waits, a
// signal causes a workflow task. After a reset to that task, the next run has
// the activity with the same scheduled event.
type rewinding struct {
	*world
	*lateStart
}

func newRewinding(t *testing.T) *rewinding {
	t.Helper()
	r := &rewinding{lateStart: newLateStart(keyed(newKey()))}
	r.world = newWorld(t, config{register: func(w *world, reg worker.Registry) {
		r.register(w, reg)
		reg.RegisterWorkflowWithOptions(func(ctx workflow.Context) (Decision, error) {
			var d Decision
			answer := await(ctx, patient(), "late")
			workflow.GetSignalChannel(ctx, "work").Receive(ctx, nil)
			return d, answer.Get(ctx, &d)
		}, workflow.RegisterOptions{Name: "rewinding"})
	}})
	return r
}

// rewind resets the workflow to the task of the signal, and returns the new
// run. rewind calls answer before the reset, after the activity waits in the
// old run.
func (r *rewinding) rewind(answer func(p async.Pending[Decision])) (p async.Pending[Decision], run client.WorkflowRun) {
	r.t.Helper()
	old := r.Start("rewinding")
	p = r.next()
	must(r.t, r.Client.SignalWorkflow(r.Context(), old.GetID(), old.GetRunID(), "work", nil))
	var task int64
	rig.Eventually(r.t, "the signal's workflow task", func() bool {
		signalled := false
		for _, e := range r.History(old) {
			signalled = signalled || e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
			if signalled && task == 0 && e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
				task = e.GetEventId()
			}
		}
		return task != 0
	})
	answer(p)
	reset, err := r.Client.ResetWorkflowExecution(r.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: r.Namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: old.GetID(), RunId: old.GetRunID()},
		Reason: "a test", WorkflowTaskFinishEventId: task,
	})
	must(r.t, err)
	return p, r.Client.GetWorkflow(r.Context(), old.GetID(), reset.GetRunId())
}

// wantTooLate makes the first attempt of the old run call Start, and checks
// that this attempt no longer has the key.
func (r *rewinding) wantTooLate() {
	r.t.Helper()
	wantErr(r.t, r.again(r.t), async.ErrKeyInUse)
	r.none()
}

// The workflow is reset to a later workflow task while a keyed activity waits.
// The new run's activity takes over the key, though it was scheduled at the
// same time, and the old run's activity does not get it back.
func TestResetToALaterTaskTakesTheKeyOver(t *testing.T) {
	t.Parallel()
	t.Run("waiting", func(t *testing.T) {
		r := newRewinding(t)
		p, run := r.rewind(func(async.Pending[Decision]) {})
		q := r.next()
		if p.ID() != q.ID() {
			t.Errorf("the runs have the callback IDs %v and %v, want one", p, q)
		}
		was, is := <-r.infos, <-r.infos
		if !was.ScheduledTime.Equal(is.ScheduledTime) || was.WorkflowExecution.RunID == is.WorkflowExecution.RunID {
			t.Errorf("scheduled at %v in run %s and at %v in run %s, want one time and two runs",
				was.ScheduledTime, was.WorkflowExecution.RunID, is.ScheduledTime, is.WorkflowExecution.RunID)
		}
		r.wantTooLate()
		must(t, p.Complete(r.Context(), approved))
		r.wantResult(run, approved)
		r.wantTooLate()
	})
	t.Run("settled, and not delivered", func(t *testing.T) {
		r := newRewinding(t)
		p, run := r.rewind(func(p async.Pending[Decision]) {
			r.completer.set(true, nil)
			must(t, p.Complete(r.Context(), approved))
			r.completer.set(false, nil)
			r.wantState(p, async.Settled)
		})
		q := r.next() // the new run sends its own request
		must(t, q.Complete(r.Context(), Decision{By: "the second"}))
		r.wantResult(run, Decision{By: "the second"})
		if p.ID() == q.ID() {
			t.Error("the new round has the old callback ID")
		}
		r.wantTooLate()
	})
	t.Run("answered after that task", func(t *testing.T) {
		r := newRewinding(t)
		p, run := r.rewind(func(p async.Pending[Decision]) {
			must(t, p.Complete(r.Context(), Decision{By: "the first"}))
			r.wantResult(r.Client.GetWorkflow(r.Context(), p.Info().WorkflowID, p.Info().RunID), Decision{By: "the first"})
		})
		q := r.next()
		if p.ID() == q.ID() {
			t.Error("the new round has the old callback ID")
		}
		must(t, p.Complete(r.Context(), Decision{By: "the first"}))
		must(t, q.Complete(r.Context(), approved))
		r.wantResult(run, approved)
		r.wantTooLate()
	})
}
