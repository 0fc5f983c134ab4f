package async_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkSettledToDelivered measures the time from the call of Complete on a
// hub that only settles to the delivery by another, idle hub on the same
// in-memory store. p50-ms and p90-ms are percentiles of that time.
func BenchmarkSettledToDelivered(b *testing.B) {
	s := store.NewMemory()
	delivered := make(chan time.Time, 1)
	temporal := &asynctest.Completer{CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error {
		delivered <- time.Now()
		return nil
	}}
	runs, err := async.New(async.Options{Store: s, Completer: temporal})
	if err != nil {
		b.Fatal(err)
	}
	settles, err := async.New(async.Options{Store: s})
	if err != nil {
		b.Fatal(err)
	}
	defer benchRun(b, runs)()
	info := attempt(1)
	var times []time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		info.ActivityID = fmt.Sprint(n)
		info.StartedTime, info.Deadline = time.Now(), time.Now().Add(time.Hour)
		id := ""
		err := async.StartAttempt(b.Context(), runs, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
		if err != activity.ErrResultPending {
			b.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // waits until the other hub is idle
		b.StartTimer()
		begun := time.Now()
		p, err := async.Open[Decision](b.Context(), settles, id)
		if err == nil {
			err = p.Complete(b.Context(), Decision{Approved: true})
		}
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, (<-delivered).Sub(begun))
	}
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(times[len(times)/2]), "p50-ms")
	b.ReportMetric(ms(times[len(times)*9/10]), "p90-ms")
}
