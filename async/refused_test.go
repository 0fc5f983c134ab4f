package async_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// refusedCompleter is a completer without permission, or without a client for
// the namespace.
func refusedCompleter() *asynctest.Completer {
	return &asynctest.Completer{
		CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrRefused },
		HeartbeatFunc: func(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
			return completer.Signals{}, completer.ErrRefused
		},
		DescribeFunc: func(context.Context, completer.Target, string) (completer.Status, error) {
			return completer.Status{}, completer.ErrRefused
		},
	}
}

// runRefused runs a second hub on the world's store. Temporal refuses this hub.
// runRefused returns the hub's log.
func (w *world) runRefused(change ...func(*async.Options)) *world {
	w.t.Helper()
	second := newWorld(w.t, append(change, func(o *async.Options) { o.Store, o.Completer = w.store, refusedCompleter() })...)
	runHub(w.t, second.hub)
	return second
}

// The test adds a hub that Temporal refuses. The longest time between two
// heartbeats is then at most 1.2 times the longest time without that hub.
func TestRefusedHubDelaysNoHeartbeats(t *testing.T) {
	const timeout = 30 * time.Second
	longest := func(t *testing.T, withRefused bool) (most time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			last := make(map[string]time.Time)
			w := newWorld(t)
			w.completer.HeartbeatFunc = func(_ context.Context, at completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
				mu.Lock()
				defer mu.Unlock()
				most = max(most, time.Since(last[at.ActivityID]))
				last[at.ActivityID] = time.Now()
				return completer.Signals{}, nil
			}
			for i := range 50 {
				last[fmt.Sprint(i)] = time.Now()
				w.startOther(i, timeout, async.StartOptions{})
			}
			runHub(t, w.hub)
			if withRefused {
				w.runRefused()
			}
			pass(10 * time.Minute)
			mu.Lock()
			defer mu.Unlock()
			for _, at := range last {
				most = max(most, time.Since(at))
			}
		})
		return most
	}
	without, with := longest(t, false), longest(t, true)
	t.Logf("the longest time without a heartbeat: %v, and %v with a hub that is refused", without, with)
	if with > without*12/10 || with > timeout {
		t.Errorf("an activity had no heartbeat for %v with a hub that is refused, want at most 1.2 times %v", with, without)
	}
}

// The other hub delivers within seconds. The Refused hook, which would be a
// false alarm, is not called.
func TestRefusedHubDelaysNoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		hook := func(o *async.Options) {
			o.Hooks.Refused = func(context.Context, async.Callback, error) error { told++; return nil }
		}
		w := newWorld(t, hook)
		runHub(t, w.hub)
		second := w.runRefused(hook)
		for i := range 20 {
			w.startOther(i, 0, async.StartOptions{})
		}
		pass(time.Minute)
		for _, c := range asynctest.Pending(t, second.hub) {
			p, err := async.Open[Decision](t.Context(), second.hub, c.ID())
			wantNil(t, err)
			wantNil(t, p.Complete(t.Context(), Decision{}))
		}
		began := time.Now()
		for len(w.completer.Completed()) < 20 && time.Since(began) < time.Hour {
			pass(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("20 answers took %v beside a hub that is refused, want seconds", took)
		}
		pass(10 * time.Minute)
		if told > 0 {
			t.Errorf("the Refused hook was called %d times, although another hub has delivered", told)
		}
		if n := strings.Count(second.logs.String(), `level=WARN msg="async: Temporal refuses this hub`); n != 1 {
			t.Errorf("the refused hub says %d times that it is refused, want once", n)
		}
	})
}

// An answer that no hub may deliver is reported after a minute, and again from
// time to time.
func TestAnswerThatNoHubMayDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []time.Duration
		var began time.Time
		w := newWorld(t, func(o *async.Options) {
			o.Hooks.Refused = func(context.Context, async.Callback, error) error {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, time.Since(began).Round(time.Second))
				return nil
			}
		})
		w.completer = refusedCompleter()
		second := w.runRefused(func(o *async.Options) {
			o.Hooks.Refused = func(context.Context, async.Callback, error) error {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, time.Since(began).Round(time.Second))
				return nil
			}
		})
		third := w.runRefused()
		w.startOther(1, 0, async.StartOptions{})
		w.startOther(2, 0, async.StartOptions{})
		began = time.Now()
		for _, c := range asynctest.Pending(t, second.hub) {
			p, err := async.Open[Decision](t.Context(), third.hub, c.ID())
			wantNil(t, err)
			wantNil(t, p.Complete(t.Context(), Decision{}))
		}
		pass(5 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for _, at := range told {
			if at < time.Minute || at > 4*time.Minute {
				t.Errorf("the Refused hook was called after %v, want a minute or a little more", at)
			}
		}
		if len(told) != 2 {
			t.Errorf("the Refused hook was called %d times for two answers in five minutes, want once for each: %v", len(told), told)
		}
	})
}

// A refused call does not mean that Temporal refuses the namespace.
func TestRefusedCallIsNoRefusedNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = func(_ context.Context, at completer.Target, _ completer.Outcome) error {
			if at.ActivityID < "5" {
				return completer.ErrCallRefused
			}
			return nil
		}
		runHub(t, w.hub)
		for i := range 9 {
			w.startOther(i, 0, async.StartOptions{})
		}
		for _, c := range asynctest.Pending(t, w.hub) {
			p, err := async.Open[Decision](t.Context(), w.hub, c.ID())
			wantNil(t, err)
			wantNil(t, p.Complete(t.Context(), Decision{}))
		}
		w.wantSent(4)
		if logs := w.logs.String(); strings.Contains(logs, "refuses this hub") || strings.Contains(logs, "cannot reach") {
			t.Errorf("a refused call has opened the breaker:\n%s", logs)
		}
	})
}
