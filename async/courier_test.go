package async_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

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

// One or two callers wait, at most for DeliveryWait. Then the breaker is open,
// and no caller waits. The accepted outcomes are delivered later.
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

// A caller waits no longer than its delivery takes, even with a long
// DeliveryWait.
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

// The delivery continues after the caller's context has ended, and Run waits
// for the delivery before it returns.
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

// answer answers the n-th activity, and returns how long the call took.
func (w *world) answer(ctx context.Context, n int) (took time.Duration) {
	w.t.Helper()
	for _, callback := range asynctest.Pending(w.t, w.hub) {
		if callback.Info().ActivityID == fmt.Sprint(n) {
			p, err := async.Open[Decision](w.t.Context(), w.hub, callback.ID())
			wantNil(w.t, err)
			began := time.Now()
			wantNil(w.t, p.Complete(ctx, Decision{}))
			return time.Since(began)
		}
	}
	w.t.Fatalf("activity %d does not wait for an answer", n)
	return 0
}

// other returns another hub on the same store. Temporal answers its calls.
func (w *world) other() (*async.Hub, *asynctest.Completer) {
	w.t.Helper()
	c := new(asynctest.Completer)
	h, err := async.New(async.Options{Store: w.store, Completer: c})
	wantNil(w.t, err)
	return h, c
}

// wantTakenBy checks that another hub finds these answers due at once, and
// delivers them.
func (w *world) wantTakenBy(h *async.Hub, c *asynctest.Completer, activities ...string) {
	w.t.Helper()
	w.work(h)
	var got []string
	for _, call := range c.Completed() {
		got = append(got, call.Target.ActivityID)
	}
	slices.Sort(got)
	if !slices.Equal(got, activities) {
		w.t.Errorf("another hub delivers the answers of activities %v at once, want those of %v", got, activities)
	}
}

// A delivery that is queued when the breaker opens is handed back. The caller
// stops waiting, and another hub may deliver the answer at once.
func TestBreakerOpensBeforeAQueuedDelivery(t *testing.T) {
	for name, runs := range map[string]bool{"without Run": false, "while Run is under way": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *async.Options) { o.Concurrency = 1 }) // one delivery at a time
				var calls atomic.Int64
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
					calls.Add(1)
					time.Sleep(10 * time.Millisecond)
					return serviceerror.NewUnavailable("connection refused")
				}
				for n := range 4 {
					w.startOther(n, 0, async.StartOptions{})
				}
				if runs {
					runHub(t, w.hub)
				}
				other, c := w.other()
				var took [4]time.Duration
				var callers sync.WaitGroup
				for n := range took {
					callers.Go(func() { took[n] = w.answer(t.Context(), n) })
					pass(time.Millisecond) // the calls begin one after another
				}
				callers.Wait()
				// The second failed call opens the breaker 20 ms after the first answer came.
				for n, most := range []time.Duration{10, 19, 18, 17} {
					if most *= time.Millisecond; took[n] > most {
						t.Errorf("answer %d took %v, want %v at most", n, took[n], most)
					}
				}
				if n := calls.Load(); n != 2 {
					t.Errorf("%d calls to Temporal, want the two that open the breaker", n)
				}
				pass(time.Millisecond)
				w.wantTakenBy(other, c, "2", "3")
			})
		})
	}
}

// An answer whose delivery gets no place is handed back when its caller leaves.
// A running hub delivers the answer at once, before the claim expires.
func TestNoPlaceForADelivery(t *testing.T) {
	for name, c := range map[string]struct {
		runs   bool
		places int // number of places with a concurrency of 1
		wait   time.Duration
		leaves time.Duration // time after which the caller's context ends
		want   time.Duration
	}{
		"without Run, DeliveryWait ends":            {false, 1, 50 * time.Millisecond, time.Minute, 50 * time.Millisecond},
		"without Run, the caller leaves":            {false, 1, time.Minute, 30 * time.Millisecond, 30 * time.Millisecond},
		"without Run, no wait":                      {false, 1, -1, time.Minute, 0},
		"while Run is under way, DeliveryWait ends": {true, 4, 50 * time.Millisecond, time.Minute, 50 * time.Millisecond},
		"while Run is under way, the caller leaves": {true, 4, time.Minute, 30 * time.Millisecond, 30 * time.Millisecond},
		"while Run is under way, no wait":           {true, 4, -1, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *async.Options) { o.Concurrency, o.DeliveryWait = 1, c.wait })
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
					time.Sleep(200 * time.Millisecond) // after 250 ms in which no call begins, Run would postpone answers
					return nil
				}
				for n := range c.places + 1 {
					w.startOther(n, 0, async.StartOptions{})
				}
				if c.runs {
					runHub(t, w.hub)
				}
				var callers sync.WaitGroup
				for n := range c.places {
					callers.Go(func() { w.answer(t.Context(), n) })
					synctest.Wait()
				}
				ctx, leave := context.WithTimeout(t.Context(), c.leaves)
				defer leave()
				if took := w.answer(ctx, c.places); took != c.want {
					t.Errorf("Complete took %v, want %v", took, c.want)
				}
				if !c.runs {
					other, taken := w.other()
					time.Sleep(time.Millisecond) // an entry that is due now is due before the next claim
					w.wantTakenBy(other, taken, fmt.Sprint(c.places))
				}
				callers.Wait()
				pass(6 * time.Second) // the time is shorter than a claim
				if c.runs {
					w.wantSent(c.places + 1)
				}
			})
		})
	}
}

// A delivery that waits in the pool behind hanging calls is handed back after a
// while. The caller stops waiting, and another hub delivers the answer.
func TestDeliveryBehindCallsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *async.Options) { o.Concurrency = 1 })
		w.completer.CompleteFunc = hangs
		settler, err := async.New(async.Options{Store: w.store})
		wantNil(t, err)
		for n := range 4 {
			w.startOther(n, 0, async.StartOptions{})
		}
		for _, callback := range asynctest.Pending(t, settler)[:3] { // the number of deliveries that the pool accepts
			p, err := async.Open[Decision](t.Context(), settler, callback.ID())
			wantNil(t, err)
			wantNil(t, p.Complete(t.Context(), Decision{}))
		}
		runHub(t, w.hub)
		pass(100 * time.Millisecond)
		if took := w.answer(t.Context(), 3); took > 300*time.Millisecond {
			t.Errorf("Complete took %v, want it back when the pool has begun nothing for 250ms", took)
		}
		other, c := w.other()
		pass(time.Millisecond)
		w.wantTakenBy(other, c, "3")
	})
}

// While all calls of a hub hang, the hub claims after the other hubs. When a
// slot becomes free, it delivers at once the answers that were accepted in the
// meantime.
func TestHubWhoseCallsHangLeavesAnswersToOthers(t *testing.T) {
	for name, another := range map[string]bool{"another hub works": true, "a slot becomes free": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *async.Options) { o.Concurrency = 1 })
				const hang = 700 * time.Millisecond
				first := true
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
					if first { // calls begin one after another
						first = false
						time.Sleep(hang)
					}
					return nil
				}
				settler, err := async.New(async.Options{Store: w.store})
				wantNil(t, err)
				for n := range 4 {
					w.startOther(n, 0, async.StartOptions{})
				}
				pending := asynctest.Pending(t, settler)
				settle := func(n int) {
					p, err := async.Open[Decision](t.Context(), settler, pending[n].ID())
					wantNil(t, err)
					wantNil(t, p.Complete(t.Context(), Decision{}))
				}
				for n := range 3 {
					settle(n)
				}
				runHub(t, w.hub)
				pass(400 * time.Millisecond)
				settle(3) // the signal wakes the hub, which has no call to begin
				pass(100 * time.Millisecond)
				if another {
					other, c := w.other()
					w.wantTakenBy(other, c, pending[3].Info().ActivityID)
					return
				}
				w.wantSent(0)
				pass(hang - 500*time.Millisecond + 10*time.Millisecond)
				w.wantSent(2) // the entries behind the hanging call were postponed for longer
			})
		})
	}
}
