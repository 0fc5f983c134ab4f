package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// All activities of one run are checked at the same time, once in each
// interval. The checks of many runs are spread evenly.
func TestNextLook(t *testing.T) {
	const interval = time.Hour
	at := time.Date(2026, 11, 30, 4, 0, 0, 0, time.UTC)
	minutes := make([]int, 60)
	for n := range 6000 {
		r := &record.Record{Namespace: "default", WorkflowId: "w", RunId: fmt.Sprint("run-", n), ActivityId: "5"}
		next := NextLook(r, interval, at)
		if d := next.Sub(at); d <= 0 || d > interval {
			t.Fatalf("the next look comes %v later, want within %v", d, interval)
		}
		minutes[int((next.Sub(at)-1)/time.Minute)]++
		other := &record.Record{Namespace: "default", WorkflowId: "w", RunId: r.RunId, ActivityId: "6"}
		if got := NextLook(other, interval, at); !got.Equal(next) {
			t.Fatalf("another activity of the run is looked at %v apart, want together", got.Sub(next))
		}
		if got := NextLook(r, interval, next); got.Sub(next) != interval {
			t.Fatalf("the look after comes %v later, want %v", got.Sub(next), interval)
		}
	}
	for minute, n := range minutes {
		if n < 50 || n > 150 {
			t.Errorf("%d runs of 6000 are looked at in minute %d of 60, want about 100", n, minute)
		}
	}
}

func TestPlanQuestion(t *testing.T) {
	now := time.Date(2026, 11, 30, 4, 0, 0, 0, time.UTC)
	far, soon, past := now.Add(24*time.Hour).UnixNano(), now.Add(time.Millisecond).UnixNano(), now.Add(-time.Minute).UnixNano()
	for name, c := range map[string]struct {
		rec   *record.Record
		watch time.Duration
		look  bool // the next question is at the next look; otherwise at want
		want  int64
	}{
		"waits":                     {&record.Record{State: record.Waiting, Started: 1, Deadline: far}, time.Hour, true, 0},
		"without a deadline":        {&record.Record{State: record.Waiting, Started: 1}, time.Hour, true, 0},
		"off":                       {&record.Record{State: record.Waiting, Started: 1, Deadline: far}, 0, false, 0},
		"its deadline is sooner":    {&record.Record{State: record.Waiting, Started: 1, Deadline: soon}, time.Hour, false, 0},
		"its deadline has passed":   {&record.Record{State: record.Waiting, Started: 1, Deadline: past, NextQuestion: 7}, time.Hour, false, 7},
		"a question is repeated":    {&record.Record{State: record.Waiting, Started: 1, Deadline: far, Questions: 1, NextQuestion: 7}, time.Hour, false, 7},
		"beats":                     {&record.Record{State: record.Waiting, Started: 1, HandedOffStarted: 1, NextBeat: soon, Deadline: far}, time.Hour, false, 0},
		"beats less often":          {&record.Record{State: record.Waiting, Started: 1, HandedOffStarted: 1, NextBeat: now.Add(2 * time.Hour).UnixNano(), Deadline: far}, time.Hour, true, 0},
		"its token is lost":         {&record.Record{State: record.Waiting, Started: 1, HandedOffStarted: 1, TokenLostStarted: 1, NextBeat: soon, Deadline: far}, time.Hour, true, 0},
		"settled":                   {&record.Record{State: record.Settled, Started: 1, NextQuestion: 7}, time.Hour, false, 7},
		"its function is under way": {&record.Record{State: record.Waiting, Started: 2, HandedOffStarted: 1, NextBeat: soon, Deadline: far}, time.Hour, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.rec
			want := c.want
			if c.look {
				want = NextLook(r, c.watch, now).UnixNano()
			}
			Policy{Now: now, Watch: c.watch}.PlanQuestion(r)
			if r.NextQuestion != want {
				t.Errorf("the next question is at %d, want %d", r.NextQuestion, want)
			}
		})
	}
}
