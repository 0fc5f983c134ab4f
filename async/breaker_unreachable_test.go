package async_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// A hub that cannot reach Temporal leaves due entries to a hub that can. When
// the hub reaches Temporal again, it takes part again.
func TestHubWithoutTemporalHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const activities = 300
		for i := range activities {
			info := attempt(1)
			info.ActivityID, info.HeartbeatTimeout = fmt.Sprint(i), 30*time.Second
			info.StartedTime = time.Now()
			info.Deadline = time.Now().Add(24 * time.Hour)
			_ = async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
		}
		last := make(map[string]time.Time)
		begun, late := time.Now(), 0
		var mu sync.Mutex
		well := &asynctest.Completer{HeartbeatFunc: func(_ context.Context, t completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
			mu.Lock()
			defer mu.Unlock()
			before, is := last[t.ActivityID]
			if !is {
				before = begun
			}
			if time.Since(before) >= 30*time.Second {
				late++
			}
			last[t.ActivityID] = time.Now()
			return completer.Signals{}, nil
		}}
		calls := 0
		hangs := &asynctest.Completer{DescribeFunc: func(ctx context.Context, _ completer.Target, _ string) (completer.Status, error) {
			mu.Lock()
			calls++
			mu.Unlock()
			<-ctx.Done()
			return completer.Status{}, ctx.Err()
		}}
		hangs.HeartbeatFunc = func(ctx context.Context, t completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
			_, err := hangs.DescribeFunc(ctx, t, "")
			return completer.Signals{}, err
		}
		for _, c := range []*asynctest.Completer{well, hangs} {
			hub, err := async.New(async.Options{Store: w.store, Completer: c})
			wantNil(t, err)
			runHub(t, hub)
		}
		pass(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		// The entry that the hub holds when it first fails may be late.
		// Afterwards one of ten thousand may be late, because the hub has to
		// use some as probes. If the hub did not leave entries to the other
		// hub, 1,800 would be late.
		if late > 5 || len(last) != activities {
			t.Errorf("%d beats came after the heartbeat timeout, and %d of %d activities had any: a hub that reaches nothing holds them up", late, len(last), activities)
		}
		if calls < 10 || calls > 500 {
			t.Errorf("the hub that reaches nothing made %d calls in ten minutes, want some, to learn whether it does again", calls)
		}
	})
}

// A namespace that could not be reached slows a hub down for other namespaces.
// The delay ends a minute after the hub has nothing more to do for that
// namespace.
func TestNamespaceWithNothingToDoDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 1 })
		settler, err := async.New(async.Options{Store: w.store})
		wantNil(t, err)
		w.completer.HeartbeatFunc = func(_ context.Context, t completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
			if t.Namespace == "away" {
				return completer.Signals{}, errAway
			}
			return completer.Signals{}, nil
		}
		w.completer.DescribeFunc = func(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
			if t.Namespace == "away" {
				return completer.Status{}, errAway
			}
			return s.look(ctx, t, mark)
		}
		for i := range 20 {
			info := attemptNow(1, 30*time.Second)
			info.Namespace, info.ActivityID = "away", fmt.Sprint(i)
			_ = async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
		}
		runHub(t, w.hub)
		pass(5 * time.Minute)
		// takes returns how long the hub takes to deliver n answers in
		// another namespace. The hub claims two of the answers at a time.
		started := 0
		takes := func(n int) time.Duration {
			before := len(w.completer.Completed())
			for i := range n {
				w.startOther(1000+started+i, 0, async.StartOptions{})
			}
			started += n
			began := time.Now()
			for _, c := range asynctest.Pending(t, settler) {
				if c.Info().Namespace == "away" {
					continue
				}
				p, err := async.Open[Decision](t.Context(), settler, c.ID())
				wantNil(t, err)
				wantNil(t, p.Complete(t.Context(), Decision{}))
			}
			for len(w.completer.Completed()) < before+n {
				if pass(50 * time.Millisecond); time.Since(began) > time.Hour {
					t.Fatalf("%d of %d answers delivered in an hour", len(w.completer.Completed())-before, n)
				}
			}
			return time.Since(began)
		}
		if took := takes(50); took < time.Second {
			t.Fatalf("50 answers took %v beside a namespace that can't be reached, in which there is much to do: the hub doesn't leave it to others", took)
		}
		pass(10 * time.Minute)
		if took := takes(50); took < time.Second {
			t.Errorf("50 answers took %v a quarter of an hour later, when nothing has changed", took)
		}
		for _, c := range asynctest.Pending(t, settler) {
			wantNil(t, c.Abandon(t.Context()))
		}
		pass(70 * time.Second)
		if took := takes(50); took > 1500*time.Millisecond {
			t.Errorf("50 answers took %v a minute after there was anything to do in the namespace that couldn't be reached, want a poll interval", took)
		}
	})
}
