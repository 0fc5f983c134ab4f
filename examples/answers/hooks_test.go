package answers

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// A hub without a client for the namespace is refused. The Refused hook is
// called, and the answer stays for a hub with a client.
func TestRefusalIsTold(t *testing.T) {
	w := newWorld(t, config{client: client.Options{Namespace: "second"}})
	hooks := newTellings()
	other, err := completer.New(completer.Client{Client: server.Client(t)})
	must(t, err)
	wrong := w.another(func(o *async.Options) {
		o.Completer, o.Hooks = other, hooks.hooks()
	})
	run := w.Start(awaitDecision, short())
	info := w.Next()
	p, err := async.Open[Decision](w.Context(), wrong, w.next().ID())
	must(t, err)
	must(t, p.Complete(w.Context(), approved))
	if i := w.wantState(p, async.Settled); i.LastError != "refused" {
		t.Errorf("the last error is %q, want refused", i.LastError)
	}
	runHub(t, wrong)
	hooks.next(t, "refused", p.Callback, completer.ErrRefused)
	w.AwaitPending(run, "back-off", rig.BackOff(2))
	w.Reset(info) // the next attempt begins now and delivers
	w.wantResult(run, approved)
	w.none()
	hooks.none(t)
}

// A hook that fails or panics is called again. A hook that hangs delays no
// other work.
func TestHooksAreCalledAgain(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(ctx context.Context) error{
		"error": func(context.Context) error { return errBroken },
		"panic": func(context.Context) error { panic("errBroken") },
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			again := make(chan async.Callback, 10)
			w := newWorld(t, config{hub: func(o *async.Options) {
				running(nil)(o)
				o.Hooks.Delivered = func(ctx context.Context, c async.Callback) error {
					if calls.Add(1) == 1 {
						return fail(ctx)
					}
					again <- c
					return nil
				}
			}})
			run := w.Start(awaitDecision, patient())
			p := w.next()
			w.run()
			must(t, p.Complete(w.Context(), approved))
			w.wantResult(run, approved)
			select {
			case c := <-again:
				if c.ID() != p.ID() {
					t.Errorf("the hook was told of %v, want %v", c, p)
				}
			case <-w.Context().Done():
				t.Fatal("the hook wasn't called again")
			}
		})
	}
}

func TestHookThatHangsDelaysNothingElse(t *testing.T) {
	hangs, release := make(chan string, 10), make(chan struct{})
	delivered := make(chan string, 10)
	w := newWorld(t, config{hub: func(o *async.Options) {
		running(nil)(o)
		o.Concurrency = 1              // one slot: a hanging hook would block everything if hooks used slots
		o.ClaimTime = 10 * time.Minute // the hook would be abandoned after this time
		first := true
		o.Hooks.Delivered = func(_ context.Context, c async.Callback) error {
			if first { // calls are sequential: the test answers the second activity later
				first = false
				hangs <- c.ID()
				<-release
			}
			delivered <- c.ID()
			return nil
		}
	}})
	w.run()
	t.Cleanup(func() { close(release) })
	one := w.Start(awaitDecision, patient())
	p := w.next()
	must(t, p.Complete(w.Context(), approved))
	if id := <-hangs; id != p.ID() {
		t.Errorf("the hook was told of another callback than %v", p)
	}
	two := w.Start(awaitDecision, patient())
	q := w.next()
	settling := w.another(func(o *async.Options) { o.Completer = nil })
	again, err := async.Open[Decision](w.Context(), settling, q.ID())
	must(t, err)
	must(t, again.Complete(w.Context(), approved))
	w.wantResult(one, approved)
	w.wantResult(two, approved) // Run delivers this result while the hook hangs
	select {
	case id := <-delivered:
		if id != q.ID() {
			t.Errorf("the hook was told of another callback than %v", q)
		}
	case <-w.Context().Done():
		t.Fatal("the hook that hangs keeps another from being called")
	}
}

// Whichever hub settles the outcome, the running hub with hooks calls them.
func TestFailureIsToldAsDelivered(t *testing.T) {
	hooks := newTellings()
	w := newWorld(t, config{hub: running(hooks)})
	run := w.Start(awaitDecision, quick())
	w.run()
	p := w.next()
	must(t, p.Fail(w.Context(), errBroken))
	q := w.next()
	hooks.next(t, "delivered", p.Callback, nil)
	must(t, q.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	hooks.next(t, "delivered", q.Callback, nil)
	hooks.none(t)
}
