package async_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// quick is a pump that answers without a call, and panics the first time.
type quick struct {
	heartbeat.Pump
	asked *int
}

func (quick) Asks() bool { return false }

func (q quick) Beat(ctx context.Context, a heartbeat.Activity) (heartbeat.Beat, error) {
	if *q.asked++; *q.asked == 1 {
		panic("the first time")
	}
	return q.Pump.Beat(ctx, a)
}

func TestInlinePumpMayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		w, s := newBeatWorld(t, func(o *async.Options) {
			o.Pumps = map[string]heartbeat.Pump{"": quick{heartbeat.KeepAlive(heartbeat.KeepAliveOptions{}), &asked}}
		})
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		began := time.Now()
		runHub(t, w.hub)
		pass(15 * time.Second)
		beats := s.taken()
		if len(beats) != 1 || asked != 2 {
			t.Fatalf("%d beats, after %d questions, want one, after the second", len(beats), asked)
		}
		if after := beats[0].at.Sub(began); after > 13*time.Second {
			t.Errorf("the beat comes after %v, want it soon after the one that panicked", after)
		}
	})
}
