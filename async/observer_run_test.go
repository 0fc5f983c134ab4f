package async_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

// statsObserver is an observer that violates the contract, also in
// ObserveStats.
type statsObserver struct {
	badObserver
	stats func()
}

func (o statsObserver) ObserveStats(async.Stats) { o.stats() }

// TestBadObserversDelayNoHeartbeat: while an observer panics or blocks, a
// running hub heartbeats in time and takes answers within a second.
func TestBadObserversDelayNoHeartbeat(t *testing.T) {
	fine := func() {}
	for how, bad := range map[string]func(){
		"panics":              func() { panic(secretText) },
		"blocks for a second": func() { time.Sleep(time.Second) },
		"blocks for a day":    func() { time.Sleep(24 * time.Hour) },
	} {
		for where, c := range map[string]struct{ begin, done, stats func() }{
			"Begin":        {begin: bad, done: fine, stats: fine},
			"done":         {begin: fine, done: bad, stats: fine},
			"ObserveStats": {begin: fine, done: fine, stats: bad},
			"everywhere":   {begin: bad, done: bad, stats: bad},
		} {
			t.Run(how+" in "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, fake := newBeatWorld(t, func(o *async.Options) {
						o.StatsAge = time.Second
						o.Observer = statsObserver{stats: c.stats, badObserver: badObserver{func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
							c.begin()
							return ctx, func(async.Done) { c.done() }
						}}}
					})
					stop := runHub(t, w.hub)
					began := time.Now()
					id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
					if took := time.Since(began); took > time.Second {
						t.Errorf("Start took %v", took)
					}
					pass(5 * time.Minute)
					beats := fake.taken()
					if n := len(beats); n < 26 || n > 38 {
						t.Errorf("%d heartbeats in five minutes, want one every 8 to 11.25 s", n)
					}
					for i, b := range beats {
						if gap := b.at.Sub(began); gap > 10*time.Second+longestPoll+time.Second {
							t.Errorf("heartbeat %d comes %v after the one before", i, gap)
						}
						began = b.at
					}
					began = time.Now()
					wantNil(t, w.open(id).Complete(t.Context(), Decision{Approved: true}))
					if took := time.Since(began); took > time.Second {
						t.Errorf("the answer took %v", took)
					}
					w.wantSent(1)
					stop()
					time.Sleep(25 * time.Hour) // the hanging calls return
				})
			})
		}
	}
}
