package async_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// If no hub knows a pump, its entries do not keep the store busy. This holds
// without a heartbeat timeout, and before and after a heartbeat timeout passes.
func TestPumpThatNobodyKnowsIsNoBusyWork(t *testing.T) {
	for name, c := range map[string]struct {
		timeout     time.Duration
		first, most int64 // writes in the first minute, and in the hour
	}{
		"no heartbeat timeout": {0, 16, 96}, // the interval doubles from 0.1 s to at least 45 s
		"a minute":             {time.Minute, 90, 170},
		"ten minutes":          {10 * time.Minute, 16, 160},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				counted := &watched{Store: store.NewMemory()}
				w, s := newBeatWorld(t, func(o *async.Options) { o.Store = counted })
				runHub(t, w.hub)
				w.startOther(1, c.timeout, async.StartOptions{Pump: "special"})
				writes := func() int64 { return counted.others.Load() }
				before := writes()
				pass(time.Minute)
				if n := writes() - before; n > c.first {
					t.Errorf("%d writes in the first minute, want %d at most", n, c.first)
				}
				pass(59 * time.Minute)
				n, claims := writes()-before, counted.claims.Load()-counted.empty.Load()
				if n < 45 || n > c.most {
					t.Errorf("%d writes in an hour, want 45 to %d", n, c.most)
				}
				if claims > c.most {
					t.Errorf("%d claims that found something in an hour, want %d at most", claims, c.most)
				}
				before = writes()
				pass(10 * time.Minute)
				if n := writes() - before; n > 14 {
					t.Errorf("%d writes in ten minutes an hour later, want about one a minute", n)
				}
				if s.made() != 0 {
					t.Errorf("%d beats by a hub that doesn't know the pump, want none", s.made())
				}
			})
		})
	}
}

// A hub that knows the pump beats in time, although another hub does not know
// it.
func TestPumpThatOneHubOfTwoKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		began := time.Now()
		const n = 50
		for i := range n {
			w.startOther(i, 30*time.Second, async.StartOptions{Pump: "special"})
		}
		runHub(t, w.hub)
		hub, err := async.New(async.Options{
			Store: w.store, Pumps: map[string]heartbeat.Pump{"special": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})},
			Completer: &asynctest.Completer{HeartbeatFunc: s.heartbeat, DescribeFunc: s.look},
		})
		wantNil(t, err)
		runHub(t, hub)
		pass(20 * time.Minute)
		wantKept(t, s, 0, n, began, 30*time.Second)
		if beats := len(s.taken()); beats > n*180 {
			t.Errorf("%d beats in 20 minutes for %d activities, want one every 8 to 11.25 s", beats, n)
		}
	})
}

// If a hub leaves a beat to other hubs, they send it only when the pump says
// so. With a relay, a silent external system keeps no activity alive.
func TestPumpThatOneHubKnowsIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		p := w.open(w.startNow(1, 5*time.Minute, async.StartOptions{Pump: "special"}, nil))
		pass(10 * time.Second)
		hub, err := async.New(async.Options{
			Store: w.store, Completer: w.completer,
			Pumps: map[string]heartbeat.Pump{"special": heartbeat.Relay(heartbeat.RelayOptions{})},
		})
		wantNil(t, err)
		runHub(t, hub)
		pass(20 * time.Second)
		if n := s.made(); n != 0 {
			t.Errorf("%d beats although the outside is silent, want none", n)
		}
		wantNil(t, p.Heartbeat(t.Context(), "50%")) // through the hub that does not know the pump
		pass(2 * time.Minute)                       // each time, one of the two hubs polls first
		if said := s.said(); said != "50%" {
			t.Errorf("the beats say %q, want what the outside brought, once", said)
		}
	})
}

// A hub that calls a hook does not delay the beats of hubs that know the pump:
// the hook runs at the same time.
func TestHookOfAHubWithoutThePumpDelaysNoBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(o *async.Options) {
			o.Hooks.CancelRequested = func(ctx context.Context, _ async.Callback) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}
		w, s := newBeatWorld(t, slow)
		s.signals = completer.Signals{CancelRequested: true}
		began := time.Now()
		const n, timeout = 20, 12 * time.Second
		for i := range n {
			w.startOther(i, timeout, async.StartOptions{Pump: "special"})
		}
		runHub(t, w.hub)
		o := async.Options{
			Store: w.store, Pumps: map[string]heartbeat.Pump{"special": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})},
			Completer: &asynctest.Completer{HeartbeatFunc: s.heartbeat, DescribeFunc: s.look},
		}
		slow(&o)
		hub, err := async.New(o)
		wantNil(t, err)
		runHub(t, hub)
		pass(10 * time.Minute)
		wantKept(t, s, 0, n, began, timeout)
	})
}

// A hub that has met an unknown pump claims after the hubs that know it. The
// hub claims an entry of that pump about once a minute, however often signals
// wake it.
func TestHubWithoutThePumpComesAfterTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := store.NewMemory()
		without, with := &signaling{Store: shared}, &signaling{Store: shared}
		w, s := newBeatWorld(t, func(o *async.Options) { o.Store = without })
		const n = 20
		for i := range n {
			w.startOther(i, 30*time.Second, async.StartOptions{Pump: "special"})
		}
		runHub(t, w.hub)
		hub, err := async.New(async.Options{
			Store: with, Pumps: map[string]heartbeat.Pump{"special": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})},
			Completer: &asynctest.Completer{HeartbeatFunc: s.heartbeat, DescribeFunc: s.look},
		})
		wantNil(t, err)
		runHub(t, hub)
		pass(2 * time.Second) // the first time that both poll, either hub may be first
		before := without.entries.Load()
		pass(20 * time.Minute)
		taken, beats := without.entries.Load()-before, with.entries.Load()
		if taken > n*20 || beats < n*100 {
			t.Errorf("in 20 minutes the hub that does not know the pump claimed %d entries and the other %d, want at most %d and at least %d", taken, beats, n*20, n*100)
		}
	})
}

// A hub with an unknown pump in its store still does its other work. The hub
// delivers other processes' answers within two and a half poll intervals, and
// its own heartbeats with a short timeout are in time.
func TestHubWithoutThePumpDoesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		settler, err := async.New(async.Options{Store: w.store})
		wantNil(t, err)
		w.startOther(1, 30*time.Second, async.StartOptions{Pump: "special"})
		runHub(t, w.hub)
		pass(15 * time.Second) // and meets it
		began := time.Now()
		w.startOther(2, 3*time.Second, async.StartOptions{})
		id := w.waiting(3)
		pass(20 * time.Minute)
		wantKept(t, s, 2, 1, began, 3*time.Second)
		settle(t, settler, id)
		pass(2500 * time.Millisecond)
		w.wantSent(1)
	})
}
