package answers

import (
	"context"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

func TestIdempotencyKeys(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	one, two := async.WithIdempotencyKey(w.Context(), "event 1"), async.WithIdempotencyKey(w.Context(), "event 2")
	must(t, p.Complete(one, approved))
	must(t, p.Complete(one, Decision{By: "another value, the same event"}))
	wantErr(t, p.Complete(two, approved), async.ErrSettled)
	wantErr(t, p.Complete(w.Context(), approved), async.ErrSettled)
	wantErr(t, p.Fail(one, errBroken), async.ErrSettled)
	w.wantResult(run, approved)
	must(t, p.Complete(one, approved))
}

// An operator ends the entry, and in Temporal the activity continues.
func TestAbandon(t *testing.T) {
	t.Parallel()
	t.Run("while it waits", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		run := w.Start(awaitDecision, patient())
		p := w.next()
		must(t, p.Abandon(w.Context()))
		must(t, p.Abandon(w.Context()))
		w.run()
		hooks.next(t, "over", p.Callback, async.ErrAbandoned)
		wantErr(t, p.Complete(w.Context(), approved), async.ErrClosed, async.ErrAbandoned)
		w.wantPending(run, 1)
	})
	t.Run("settled, and a later attempt asks anew", func(t *testing.T) {
		hooks := newTellings()
		w := newWorld(t, config{hub: running(hooks)})
		run := w.Start(awaitDecision, short())
		info := w.Next()
		p := w.next()
		w.AwaitPending(run, "back-off", rig.BackOff(2))
		must(t, p.Reject(w.Context(), errBroken))
		must(t, p.Abandon(w.Context()))
		w.run()
		hooks.next(t, "over", p.Callback, async.ErrAbandoned)
		w.Reset(info) // the next attempt begins now
		q := w.next()
		if q.ID() == p.ID() {
			t.Error("the new round has the old callback ID")
		}
		must(t, q.Complete(w.Context(), approved))
		w.wantResult(run, approved)
	})
	t.Run("over", func(t *testing.T) {
		w := newWorld(t, config{})
		run := w.Start(awaitDecision, patient())
		p := w.next()
		must(t, p.Complete(w.Context(), approved))
		wantErr(t, p.Abandon(w.Context()), async.ErrClosed)
		w.wantResult(run, approved)
	})
}

// Activities of one run use one ID and one key, one after the other.
func TestLoopWithOneActivityIDAndKeys(t *testing.T) {
	w := newWorld(t, config{start: keyed(newKey()), register: loop})
	run := w.Start("loop")
	for i, want := range []Decision{{By: "one"}, {By: "two"}, {By: "three"}} {
		p := w.next()
		must(t, p.Complete(w.Context(), want))
		if i == 2 {
			w.wantResult(run, want)
		}
	}
	w.none()
}

// loop asks three times with one activity ID.
func loop(_ *world, r worker.Registry) {
	r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (Decision, error) {
		var d Decision
		o := patient()
		o.ActivityID = "approve"
		for range 3 {
			if err := await(ctx, o, rig.Activity).Get(ctx, &d); err != nil {
				return d, err
			}
		}
		return d, nil
	}, workflow.RegisterOptions{Name: "loop"})
}

// In a second namespace, the same key is a different key.
func TestKeysOfNamespaces(t *testing.T) {
	key := newKey()
	w := newWorld(t, config{start: keyed(key), client: client.Options{Namespace: "second"}})
	run := w.Start(awaitDecision, patient())
	w.next()
	_, err := async.OpenKey[Decision](context.Background(), w.hub, key, async.KeyOptions{Namespace: "default"})
	wantErr(t, err, async.ErrNotFound)
	must(t, w.openKey(key, async.KeyOptions{Namespace: "second"}).Complete(w.Context(), approved))
	w.wantResult(run, approved)
}
