package answers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// hookCall is a call of a hook.
type hookCall struct {
	hook     string
	callback async.Callback
	reason   error
}

// tellings records the calls of hooks.
type tellings chan hookCall

func newTellings() tellings { return make(tellings, 1000) }

// hooks returns hooks that record every call and return nil.
func (c tellings) hooks() async.Hooks {
	return async.Hooks{
		Delivered: func(_ context.Context, cb async.Callback) error {
			c <- hookCall{hook: "delivered", callback: cb}
			return nil
		},
		Over: func(_ context.Context, cb async.Callback, reason error) error {
			c <- hookCall{hook: "over", callback: cb, reason: reason}
			return nil
		},
		Refused: func(_ context.Context, cb async.Callback, cause error) error {
			c <- hookCall{hook: "refused", callback: cb, reason: cause}
			return nil
		},
	}
}

// next returns the next call. The call must have this hook, this callback and
// this reason.
func (c tellings) next(t *testing.T, hook string, p async.Callback, reason error) async.Callback {
	t.Helper()
	select {
	case got := <-c:
		if got.hook != hook || got.callback.ID() != p.ID() || !errors.Is(got.reason, reason) {
			t.Errorf("the hook %s was told of %v with reason %v, want %s of %v with %v", got.hook, got.callback, got.reason, hook, p, reason)
		}
		return got.callback
	case <-rig.Context(t).Done():
		t.Fatalf("the hook %s was not told of %v", hook, p)
		return async.Callback{}
	}
}

// none fails the test if another hook was called.
func (c tellings) none(t *testing.T) {
	t.Helper()
	select {
	case got := <-c:
		t.Errorf("the hook %s was told of %v with reason %v, want nothing more", got.hook, got.callback, got.reason)
	default:
	}
}

// run runs the hub until the test ends.
func (w *world) run() { runHub(w.t, w.hub) }

func runHub(t *testing.T, h *async.Hub) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop(errStop)
		// The test's context ends before the cleanup functions of the test are
		// called.
		if err := <-ended; !errors.Is(err, errStop) && !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the cause of its context's end", err)
		}
	})
}

var errStop = errors.New("the test is over")

// running returns the options of a hub for Run: it polls often, and takes over
// soon.
func running(c tellings) func(o *async.Options) {
	return func(o *async.Options) {
		o.PollInterval = 50 * time.Millisecond
		o.ClaimTime = 8 * time.Second // a call to Temporal ends a second earlier; a busy machine is slow
		if c != nil {
			o.Hooks = c.hooks()
		}
	}
}

// another returns another hub on the same store.
func (w *world) another(change func(o *async.Options)) *async.Hub {
	w.t.Helper()
	o := async.Options{Store: w.store, Completer: w.completer, DeliveryWait: time.Minute}
	running(nil)(&o)
	if change != nil {
		change(&o)
	}
	h, err := async.New(o)
	must(w.t, err)
	return h
}

// becomes waits until the callback is in this state, and returns its Info.
func (w *world) becomes(p async.Pending[Decision], want async.State) async.Info {
	w.t.Helper()
	var info async.Info
	rig.Eventually(w.t, "the callback is "+want.String(), func() bool {
		info = w.open(p.ID()).Info()
		return info.State == want
	})
	return info
}
