package async_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
)

// Deliveries that fail are retried with a growing backoff, which has an upper
// bound. The retries never end, and jitter spreads them, so that they do not
// overload a server that has just started.
func TestBackOff(t *testing.T) {
	for name, c := range map[string]struct {
		heartbeat time.Duration
		most      time.Duration
	}{
		"no heartbeat timeout": {0, 5 * time.Minute},
		// After the answer no hub heartbeats, so the attempt ends at its
		// heartbeat timeout.
		"a third of the heartbeat timeout": {30 * time.Second, 10 * time.Second},
		"a short heartbeat timeout":        {2 * time.Second, time.Second},
		"a long heartbeat timeout":         {time.Hour, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.completer.CompleteFunc = stumbles
				pending := func(id string) async.Pending[Decision] {
					info := lasting(1000 * time.Hour)
					info.ActivityID, info.HeartbeatTimeout = id, c.heartbeat
					err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
						id = p.ID()
						return nil
					})
					if err != activity.ErrResultPending {
						t.Fatalf("Start: %v", err)
					}
					p := w.open(id)
					wantNil(t, p.Complete(t.Context(), Decision{}))
					return p
				}
				a, b := pending("a"), pending("b")
				same := 0
				for n := 1; n <= 60; n++ {
					wait := wantBackOff(t, w, a.ID(), n, c.most)
					if wantBackOff(t, w, b.ID(), n, c.most) == wait {
						same++
					}
					// Sleep until the later of the two due times: both
					// callbacks must have the same number of tries.
					time.Sleep(c.most*5/4 + time.Millisecond)
					w.work(w.hub)
				}
				if same > 6 {
					t.Errorf("two outcomes came back at the same time in %d of 60 tries", same)
				}
				w.completer.CompleteFunc = nil
				time.Sleep(c.most*5/4 + time.Millisecond)
				w.work(w.hub)
				w.wantSent(2)
			})
		})
	}
}

// wantBackOff checks that the callback was tried n times, and returns the time
// until the next try. This time doubles from one second, give or take a
// quarter.
func wantBackOff(t *testing.T, w *world, id string, n int, most time.Duration) time.Duration {
	t.Helper()
	i := w.open(id).Info()
	if i.State != async.Settled || i.Deliveries != n || i.LastError != "unavailable" {
		t.Fatalf("after %d tries the callback tells %+v", n, i)
	}
	want := most
	if n <= 12 {
		want = min(most, time.Second<<(n-1))
	}
	wait := time.Until(i.NextDelivery)
	if wait < want-want/4 || wait > want+want/4 {
		t.Errorf("after %d tries the next comes in %v, want %v give or take a quarter", n, wait, want)
	}
	return wait
}

func TestDoubled(t *testing.T) {
	for tries, want := range []time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1000: 5 * time.Minute} {
		if got := async.Doubled(time.Second, 5*time.Minute, tries); want != 0 && got != want {
			t.Errorf("after %d tries %v, want %v", tries, got, want)
		}
	}
}
