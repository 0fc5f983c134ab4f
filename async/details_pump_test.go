package async_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/heartbeat"
)

func TestPumpsDetails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := []any{"10%", nil, "20%", strings.Repeat("x", 3<<20), func() {}}
		asked := 0
		w, s := newBeatWorld(t, probing(5*time.Second, func(_ context.Context, a heartbeat.Activity) (any, error) {
			defer func() { asked++ }()
			if a.Attempt != 1 || a.Timeout != 30*time.Second || a.WorkflowID != "expense-7" || a.Type != "Approve" || a.Labels["k"] != "v" {
				t.Errorf("the pump was asked about %#v", a)
			}
			return says[min(asked, len(says)-1)], nil
		}))
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{Labels: map[string]string{"k": "v"}}, func(context.Context, async.Pending[Decision]) error {
			s.record("by the function")
			return nil
		})
		pass(28 * time.Second)
		if said := s.said(); !strings.HasPrefix(said, "10% 10% 20% 20% 20%") || strings.Count(said, "20%") != s.made()-2 {
			t.Errorf("the beats say %q; want those before again where the pump says nil, too much, or what can't be encoded", said)
		}
		if !strings.Contains(w.logs.String(), "the pump's details can't be sent") {
			t.Error("nothing is logged of details that can't be sent")
		}
	})
}

func TestSkippedBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		w, s := newBeatWorld(t, pumps(map[string]heartbeat.Pump{"": pumpFunc{
			next: func(a heartbeat.Activity) time.Time { return a.LastBeat }, // always past
			beat: func() (heartbeat.Beat, error) { asked++; return heartbeat.Beat{Skip: true}, nil },
		}}))
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(time.Minute)
		if s.made() != 0 || s.looked() != 0 {
			t.Errorf("%d beats and %d questions where the pump skips, want none", s.made(), s.looked())
		}
		if asked < 25 || asked > 61 {
			t.Errorf("the pump was asked %d times in a minute, want it again after a second at the soonest", asked)
		}
	})
}

// pumpFunc is a pump of two functions.
type pumpFunc struct {
	next func(a heartbeat.Activity) time.Time
	beat func() (heartbeat.Beat, error)
}

func (p pumpFunc) Next(a heartbeat.Activity, _ time.Time) time.Time { return p.next(a) }

func (p pumpFunc) Beat(context.Context, heartbeat.Activity) (heartbeat.Beat, error) { return p.beat() }
