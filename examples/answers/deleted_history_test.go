package answers

import (
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
)

// The server has deleted the history that shows how the activity ended. The
// Over hook gets ErrUnknownEnd in every state of the entry.
func TestUnknownEndCallsTheOverHook(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(w *world, deadline time.Duration) (vanish func()){
		"of a workflow": func(w *world, deadline time.Duration) func() {
			o := patient()
			o.ScheduleToCloseTimeout = deadline
			run := w.Start(awaitDecision, o)
			return func() { w.DeleteWorkflow(run) }
		},
		"standalone": func(w *world, deadline time.Duration) func() {
			h := w.StartActivity(client.StartActivityOptions{ScheduleToCloseTimeout: deadline})
			return func() { w.DeleteActivity(h) }
		},
	} {
		t.Run(name+", waiting", func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{hub: running(hooks)})
			vanish := begin(w, soon) // when the hub asks whether the activity is over
			p := w.next()
			vanish()
			w.wantState(p, async.Waiting)
			w.run()
			hooks.next(t, "over", p.Callback, async.ErrUnknownEnd)
			wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, async.ErrUnknownEnd)
			hooks.none(t)
		})
		t.Run(name+", settled", func(t *testing.T) {
			hooks := newTellings()
			w := newWorld(t, config{hub: running(hooks)})
			vanish := begin(w, time.Hour)
			p := w.next()
			w.completer.set(true, nil)
			must(t, p.Complete(w.Context(), approved))
			w.wantState(p, async.Settled)
			vanish()
			w.completer.set(false, nil)
			w.run()
			hooks.next(t, "over", p.Callback, async.ErrUnknownEnd)
			wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, async.ErrUnknownEnd)
			hooks.none(t)
		})
		t.Run(name+", and then answered", func(t *testing.T) {
			w := newWorld(t, config{})
			vanish := begin(w, time.Hour)
			p := w.next()
			vanish()
			wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, async.ErrUnknownEnd)
		})
	}
}

// A later run takes over the key from a deleted run, which may have got the
// answer. The Over hook is called, and the answer is not used again.
func TestUnknownEndAtATakeOver(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{start: keyed(newKey()), hub: running(hooks)})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	w.completer.set(false, lose)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.wantState(p, async.Settled)
	w.DeleteWorkflow(run)
	w.completer.set(false, nil)
	later, err := w.Client.ExecuteWorkflow(w.Context(), client.StartWorkflowOptions{ID: run.GetID(), TaskQueue: w.Queue}, awaitDecision, patient())
	must(t, err)
	q := w.next()
	if q.ID() == p.ID() {
		t.Error("the new round has the old callback ID")
	}
	w.run()
	hooks.next(t, "over", p.Callback, async.ErrUnknownEnd)
	must(t, p.Complete(w.Context(), approved)) // a repeat does not answer the later run
	w.wantPending(later, 1)
	must(t, q.Complete(w.Context(), Decision{By: "Bob"}))
	w.wantResult(later, Decision{By: "Bob"})
	hooks.next(t, "delivered", q.Callback, nil)
	hooks.none(t)
}
