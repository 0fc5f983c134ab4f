package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// TestLatest: the caller of an answer gets the callback's new state.
func TestLatest(t *testing.T) {
	away := errors.New("away")
	for name, c := range map[string]struct {
		running, settleOnly bool
		fails               error
		again               bool // the answer is a repeat
		delivered           bool
	}{
		"delivered by the caller's hub":   {delivered: true},
		"delivered while the hub runs":    {running: true, delivered: true},
		"accepted by a hub that settles":  {settleOnly: true},
		"accepted while Temporal is away": {fails: away},
		"a repeat":                        {again: true, delivered: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *async.Options) {
					if c.settleOnly {
						o.Completer = nil
					}
				})
				if c.running {
					runHub(t, w.hub)
					synctest.Wait() // Run records deliveries from now on
				}
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return c.fails }
				id := w.start(1, async.StartOptions{})
				p := w.open(id)
				if c.again {
					wantNil(t, p.Complete(t.Context(), Decision{}))
					p = w.open(id)
				}
				latest := p.Callback
				wantNil(t, p.Complete(async.WithLatest(t.Context(), &latest), Decision{}))
				if got := latest.Info(); got.Delivered != c.delivered || got.Outcome != "result" || got.Settled.IsZero() {
					t.Errorf("the callback is delivered %v with the outcome %q of %v, want %v with a result", got.Delivered, got.Outcome, got.Settled, c.delivered)
				}
				time.Sleep(time.Second) // Run records deliveries in batches
				synctest.Wait()
				stored, err := w.hub.Open(t.Context(), id)
				wantNil(t, err)
				if got, want := latest.Info(), stored.Info(); got.State != want.State || !got.Settled.Equal(want.Settled) || got.Delivered != want.Delivered {
					t.Errorf("the caller has %+v, and the store %+v", got, want)
				}
			})
		})
	}
}

// TestLatestOfARefusedAnswer: a refused answer does not change the callback.
func TestLatestOfARefusedAnswer(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	p := w.open(id)
	latest := p.Callback
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	if err := p.Complete(async.WithLatest(t.Context(), &latest), Decision{Approved: true}); !errors.Is(err, async.ErrSettled) {
		t.Fatalf("another answer: %v, want ErrSettled", err)
	}
	if got := latest.Info().State; got != async.Waiting {
		t.Errorf("the callback is %v, want as it was opened", got)
	}
}
