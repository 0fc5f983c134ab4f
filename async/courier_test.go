package async_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

func TestDeliveryWaitOutOfRange(t *testing.T) {
	_, err := async.New(async.Options{Store: newWorld(t).store, DeliveryWait: 2 * time.Minute})
	if err == nil || !strings.Contains(err.Error(), "at most 1m0s") || !strings.Contains(err.Error(), "got 2m0s") {
		t.Errorf("New says %v, want what is allowed and what it got", err)
	}
}

// A caller waits for DeliveryWait at most, once or twice; then the breaker is open
// and no caller waits. What was accepted arrives later.
func TestCallersWaitForABoundedTime(t *testing.T) {
	for name, c := range map[string]struct {
		wait   time.Duration
		waited []time.Duration
	}{
		"default":  {0, []time.Duration{time.Second, time.Second, 0, 0, 0}},
		"negative": {-1, []time.Duration{0, 0, 0, 0, 0}},
	} {
		for _, runs := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, func(o *async.Options) { o.DeliveryWait = c.wait })
					if runs {
						runHub(t, w.hub)
					}
					var away atomic.Bool
					away.Store(true)
					w.completer.CompleteFunc = func(ctx context.Context, at completer.Target, o completer.Outcome) error {
						if away.Load() {
							return hangs(ctx, at, o)
						}
						return nil
					}
					for i := range c.waited {
						w.startOther(i, 0, async.StartOptions{})
					}
					for i, callback := range asynctest.Pending(t, w.hub) {
						p, err := async.Open[Decision](t.Context(), w.hub, callback.ID())
						wantNil(t, err)
						began := time.Now()
						wantNil(t, p.Complete(t.Context(), Decision{}))
						if took := time.Since(began); took != c.waited[i] {
							t.Errorf("answer %d took %v, want %v", i+1, took, c.waited[i])
						}
						time.Sleep(time.Millisecond)
						if i == 3 {
							pass(1500 * time.Millisecond) // the last answer comes when a probe is due
						}
					}
					pass(10 * time.Second)
					away.Store(false)
					pass(20 * time.Second)
					if !runs {
						w.work(w.hub)
					}
					w.wantSent(len(c.waited))
				})
			})
		}
	}
}

// A caller waits no longer than its delivery lasts, however long DeliveryWait is.
func TestCallersWaitNoLongerThanTheDelivery(t *testing.T) {
	for _, runs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(o *async.Options) { o.DeliveryWait, o.ClaimTime = time.Minute, 8*time.Second })
			if runs {
				runHub(t, w.hub)
			}
			w.completer.CompleteFunc = hangs
			p := w.open(w.start(1, async.StartOptions{}))
			began := time.Now()
			wantNil(t, p.Complete(t.Context(), Decision{}))
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("Complete took %v, want the 8s of the claim at most", took)
			}
		})
	}
}

// The delivery goes on when the caller's context has ended, and Run's end waits for
// it.
func TestDeliveryOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
			time.Sleep(500 * time.Millisecond)
			return ctx.Err()
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = w.hub.Run(ctx)
		}()
		p := w.open(w.start(1, async.StartOptions{}))
		caller, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		began := time.Now()
		wantNil(t, p.Complete(caller, Decision{}))
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("Complete took %v, want as long as the caller's context", took)
		}
		stop()
		<-ended
		w.wantSent(1)
	})
}
