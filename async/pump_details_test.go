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

// TestCoalescing: calls of Heartbeat that are less than a second apart share a beat,
// and the first one is sent at once.
func TestCoalescing(t *testing.T) {
	for name, pump := range bothPumps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, pump)
				runHub(t, w.hub)
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				pass(3 * time.Second)
				began := time.Now()
				for n := range 40 {
					wantNil(t, p.Heartbeat(t.Context(), n))
					pass(100 * time.Millisecond)
				}
				pass(3 * time.Second)
				beats := s.taken()
				if len(beats) < 3 || len(beats) > 6 {
					t.Errorf("40 calls in 4 s were sent in %d beats, want one a second", len(beats))
				}
				// A hub that has just polled waits 10 ms before it polls again.
				if took := beats[0].at.Sub(began); took > 10*time.Millisecond || beats[0].details != "0" {
					t.Errorf("the first was sent %v after it came, want 10ms at most", took)
				}
				for i := 1; i < len(beats); i++ {
					// Stores compare times in whole milliseconds.
					if gap := beats[i].at.Sub(beats[i-1].at); gap <= time.Second-time.Millisecond {
						t.Errorf("two beats are %v apart, want a second at least", gap)
					}
				}
				if s.lastSaid() != "39" {
					t.Errorf("Temporal has %q, want the last of 40, 39", s.lastSaid())
				}
				if r := w.record(); r.BeatPendingSince != 0 {
					t.Error("something is still to be sent")
				}
			})
		})
	}
}

// pumpFunc is a pump of two functions.
type pumpFunc struct {
	next func(a heartbeat.Activity) time.Time
	beat func() (heartbeat.Beat, error)
}

func (p pumpFunc) Next(a heartbeat.Activity, _ time.Time) time.Time { return p.next(a) }

func (p pumpFunc) Beat(context.Context, heartbeat.Activity) (heartbeat.Beat, error) { return p.beat() }
