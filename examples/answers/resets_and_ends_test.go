package answers

import (
	"context"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// retrySoon returns a failure after which the activity of patient is retried at
// once.
func retrySoon() error {
	return temporal.NewApplicationErrorWithOptions("errBroken", "", temporal.ApplicationErrorOptions{NextRetryDelay: time.Millisecond})
}

// short returns options with which each attempt times out after brief, and the
// next attempt begins an hour later.
func short() workflow.ActivityOptions {
	o := patient()
	o.StartToCloseTimeout = brief
	return o
}

func TestResetOfTheFirstAttempt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w *world, p async.Pending[Decision]) error{
		"result":  func(w *world, p async.Pending[Decision]) error { return p.Complete(w.Context(), approved) },
		"failure": func(w *world, p async.Pending[Decision]) error { return p.Fail(w.Context(), retrySoon()) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{})
			run := w.Start(awaitDecision, patient())
			info := w.Next()
			p := w.next()
			w.Reset(info)
			must(t, answer(w, p))
			w.wantState(p, async.Closed)
			if name == "failure" {
				must(t, w.next().Complete(w.Context(), approved))
			}
			w.wantResult(run, approved)
		})
	}
}

// A failure is accepted between two attempts, and an operator resets the
// activity. The failure ends the attempt after the reset, and that attempt does
// not ask. If the numbers of attempts no longer show whether the failure ended
// one of them, the next attempt asks again.
func TestFailureSettledBeforeAReset(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	run := w.Start(awaitDecision, short())
	info := w.Next()
	p := w.next()
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	must(t, p.Fail(w.Context(), retrySoon()))
	w.wantState(p, async.Settled)
	w.Reset(info)
	q := w.next()
	if q.ID() == p.ID() {
		t.Error("the new round has the old callback ID")
	}
	w.wantPending(run, 1)
	must(t, p.Fail(w.Context(), retrySoon()))
	w.wantPending(run, 1)
	w.run()
	hooks.next(t, "over", p.Callback, async.ErrUnknownEnd)
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestPausedAndUnpaused(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	info := w.Next()
	p := w.next()
	w.Pause(info)
	w.Unpause(info)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestPausedInBackOff(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, short())
	info := w.Next()
	p := w.next()
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	w.Pause(info)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// At attempt 2, the activity is unpaused and its attempts are reset. The token
// of attempt 2 becomes unknown, and the token of attempt 1 is valid again.
func TestUnpausedWithReset(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w *world, p async.Pending[Decision]) error{
		"result":  func(w *world, p async.Pending[Decision]) error { return p.Complete(w.Context(), approved) },
		"failure": func(w *world, p async.Pending[Decision]) error { return p.Fail(w.Context(), retrySoon()) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{})
			run := w.Start(awaitDecision, patient())
			info := w.Next()
			first := w.next()
			must(t, first.Fail(w.Context(), retrySoon()))
			second := w.next()
			w.Pause(info)
			if _, err := w.Service().UnpauseActivity(w.Context(), &workflowservice.UnpauseActivityRequest{
				Namespace: w.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
				Activity: &workflowservice.UnpauseActivityRequest_Id{Id: info.ActivityID}, ResetAttempts: true,
			}); err != nil {
				t.Fatal(err)
			}
			must(t, first.Fail(w.Context(), retrySoon())) // the sender repeats its answer
			if p := w.Pending(run); p.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED {
				t.Errorf("the activity is %v, want that its attempt runs", p.GetState())
			}
			must(t, answer(w, second))
			w.wantState(second, async.Closed)
			if name == "failure" {
				third := w.next()
				if third.ID() == second.ID() {
					t.Error("the new round has the old callback ID")
				}
				must(t, third.Complete(w.Context(), approved))
			}
			w.wantResult(run, approved)
		})
	}
}

// The deadline passes, but it was moved or is suspended. The hub asks Temporal
// and does not conclude that the activity is over.
func TestDeadlineIsAQuestion(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(w *world, info activity.Info){
		"options changed": func(w *world, info activity.Info) { w.ExtendScheduleToClose(info, time.Hour) },
		"paused":          func(w *world, info activity.Info) { w.Pause(info) },
	} {
		t.Run(name, func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{hub: running(hooks)})
			pending := make(chan bool, 100)
			w.completer.misjudge(func(s *completer.Status) { pending <- s.Pending })
			o := patient()
			o.ScheduleToCloseTimeout = soon
			run := w.Start(awaitDecision, o)
			info := w.Next()
			p := w.next()
			move(w, info)
			w.run()
			for range 2 { // the hub asks again
				select {
				case is := <-pending:
					if !is {
						t.Fatal("the activity is over")
					}
				case <-rig.Context(t).Done():
					t.Fatal("nobody has asked")
				}
			}
			if now := time.Now(); now.Before(info.Deadline) {
				t.Errorf("asked %v before the deadline", info.Deadline.Sub(now))
			}
			hooks.none(t)
			w.wantState(p, async.Waiting)
			must(t, p.Complete(w.Context(), approved))
			w.wantResult(run, approved)
		})
	}
}

// The new run asks again under an ID of its own, and the activity of the old ID
// is over.
func TestWorkflowReset(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks), start: async.StartOptions{Labels: map[string]string{"order": "7"}}})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	done := w.Event(run, enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
	reset, err := w.Client.ResetWorkflowExecution(w.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: w.Namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
		Reason: "a test", WorkflowTaskFinishEventId: done.GetEventId(),
	})
	must(t, err)
	q := w.next()
	if p.ID() == q.ID() {
		t.Error("the new run has the old run's callback ID")
	}
	w.run()
	wantErr(t, p.Complete(w.Context(), Decision{By: "late"}), async.ErrClosed, completer.ErrOver)
	if got := hooks.next(t, "over", p.Callback, completer.ErrOver).Info(); got.Labels["order"] != "7" || got.RunID != run.GetRunID() {
		t.Errorf("the hook was told of labels %v in run %s", got.Labels, got.RunID)
	}
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(w.Client.GetWorkflow(w.Context(), run.GetID(), reset.GetRunId()), approved)
	hooks.next(t, "delivered", q.Callback, nil)
}

// leaving registers a workflow that awaits an activity until it gets a signal,
// and then continues as new, once.
func leaving(_ *world, r worker.Registry) {
	r.RegisterWorkflowWithOptions(func(ctx workflow.Context, first bool) (Decision, error) {
		var d Decision
		answer := await(ctx, patient(), rig.Activity)
		if !first {
			return d, answer.Get(ctx, &d)
		}
		workflow.GetSignalChannel(ctx, "leave").Receive(ctx, nil)
		return d, workflow.NewContinueAsNewError(ctx, "leaving", false)
	}, workflow.RegisterOptions{Name: "leaving"})
}

func (w *world) leave(run client.WorkflowRun) {
	w.t.Helper()
	must(w.t, w.Client.SignalWorkflow(w.Context(), run.GetID(), run.GetRunID(), "leave", nil))
}

// last returns the current run of a workflow.
func (w *world) last(run client.WorkflowRun) client.WorkflowRun {
	return w.Client.GetWorkflow(w.Context(), run.GetID(), "")
}

func TestContinuedAsNewWhileItWaits(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{register: leaving, hub: running(hooks)})
	run := w.Start("leaving", true)
	p := w.next()
	w.leave(run)
	q := w.next()
	if p.ID() == q.ID() {
		t.Error("the new run has the old run's callback ID")
	}
	w.run()
	wantErr(t, p.Complete(w.Context(), Decision{By: "late"}), async.ErrClosed, completer.ErrOver)
	hooks.next(t, "over", p.Callback, completer.ErrOver)
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(w.last(run), approved)
}

// The activity ends without an answer. The Over hook gets the reference that
// the application stored.
func TestEndCallsTheOverHook(t *testing.T) {
	t.Parallel()
	remember := func(ctx context.Context, _ *world, p async.Pending[Decision]) error { return p.Remember(ctx, "job 42") }
	for name, c := range map[string]struct {
		end  func(w *world, run client.WorkflowRun)
		want error
	}{
		"expired": {end: func(*world, client.WorkflowRun) {}, want: async.ErrExpired},
		"terminated": {
			end: func(w *world, run client.WorkflowRun) {
				must(w.t, w.Client.TerminateWorkflow(w.Context(), run.GetID(), run.GetRunID(), "a test"))
			},
			want: completer.ErrOver,
		},
		"answered by another": {
			end: func(w *world, run client.WorkflowRun) {
				id := w.Pending(run).GetActivityId()
				must(w.t, w.Client.CompleteActivityByID(w.Context(), w.Namespace, run.GetID(), run.GetRunID(), id, approved, nil))
			},
			want: completer.ErrOver,
		},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{
				hub: running(hooks), during: remember, start: async.StartOptions{Labels: map[string]string{"order": "7"}},
			})
			o := patient()
			o.ScheduleToCloseTimeout = soon
			run := w.Start(awaitDecision, o)
			p := w.next()
			rig.Eventually(t, "the reference", func() bool { return w.open(p.ID()).Reference() != "" })
			c.end(w, run)
			w.run()
			got := hooks.next(t, "over", p.Callback, c.want)
			if info := got.Info(); got.Reference() != "job 42" || info.Labels["order"] != "7" || info.ActivityType != rig.Activity {
				t.Errorf("the hook was told of reference %q and %+v", got.Reference(), info)
			}
			wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, c.want)
			hooks.none(t)
		})
	}
}

// Work also calls the Over hook, for short-lived processes.
func TestWorkCallsTheOverHook(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	o := patient()
	o.ScheduleToCloseTimeout = brief
	w.Start(awaitDecision, o)
	p := w.next()
	rig.Eventually(t, "the end is told", func() bool {
		_, err := w.hub.Work(w.Context())
		must(t, err)
		return len(hooks) > 0
	})
	hooks.next(t, "over", p.Callback, async.ErrExpired)
	hooks.none(t)
}

// The workflow does not wait for the cancellation, and continues or ends.
func TestCancelledWithoutWaiting(t *testing.T) {
	t.Parallel()
	o := patient()
	o.WaitForCancellation = false
	t.Run("and ends", func(t *testing.T) {
		w := newWorld(t, config{})
		run := w.Start(awaitDecision, o)
		p := w.next()
		must(t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID()))
		if err := run.Get(w.Context(), nil); !temporal.IsCanceledError(err) {
			t.Errorf("the workflow ended with %v, want a cancellation", err)
		}
		wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, completer.ErrOver)
	})
	t.Run("and goes on", func(t *testing.T) {
		w := newWorld(t, config{register: func(_ *world, r worker.Registry) {
			r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (bool, error) {
				err := await(ctx, o, rig.Activity).Get(ctx, nil)
				rest, _ := workflow.NewDisconnectedContext(ctx)
				workflow.GetSignalChannel(rest, "end").Receive(rest, nil)
				return temporal.IsCanceledError(err), nil
			}, workflow.RegisterOptions{Name: "goes on"})
		}})
		run := w.Start("goes on")
		p := w.next()
		must(t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID()))
		w.AwaitPending(run, "the request", func(p *workflowpb.PendingActivityInfo) bool {
			return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
		})
		must(t, p.Complete(w.Context(), approved)) // Temporal accepts the result, and no workflow reads it
		if i := w.wantState(p, async.Closed); !i.Delivered {
			t.Errorf("the callback tells %+v, want that it was delivered", i)
		}
		must(t, w.Client.SignalWorkflow(w.Context(), run.GetID(), run.GetRunID(), "end", nil))
		var canceled bool
		if err := run.Get(w.Context(), &canceled); err != nil || !canceled {
			t.Errorf("the workflow saw a cancellation: %v, %v", canceled, err)
		}
	})
}

// In backoff, the server itself cancels the activity.
func TestCancelledInBackOff(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	run := w.Start(awaitDecision, short())
	p := w.next()
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	must(t, w.Client.CancelWorkflow(w.Context(), run.GetID(), run.GetRunID()))
	if err := run.Get(w.Context(), nil); !temporal.IsCanceledError(err) {
		t.Errorf("the workflow ended with %v, want a cancellation", err)
	}
	w.run()
	hooks.next(t, "over", p.Callback, completer.ErrOver)
	wantErr(t, p.ReportCanceled(w.Context()), async.ErrClosed, completer.ErrOver)
}
