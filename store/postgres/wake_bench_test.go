package postgres_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
)

// BenchmarkSettledToDelivered measures how long an answer takes from one
// process to another process's completer. The first process settles the answer
// in a transaction. p50-ms and p90-ms are percentiles of the time from the call
// of that transaction to the delivery.
func BenchmarkSettledToDelivered(b *testing.B) {
	p := newPlace(b)
	answering, delivering := newOffice(b, p), newOffice(b, p)
	delivered := make(chan time.Time, 1)
	delivering.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
		delivered <- time.Now()
		return nil
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = delivering.hub.Run(ctx) })
	defer running.Wait()
	defer cancel()
	env := newEnvironment()
	x := &Expenses{DB: answering.pool, Store: answering.Store, Hub: answering.hub}
	var times []time.Duration
	for expense := 0; b.Loop(); expense++ {
		b.StopTimer()
		id := answering.ask(b, env, expense)
		time.Sleep(200 * time.Millisecond) // waits until the other process is idle
		b.StartTimer()
		begun := time.Now()
		if err := x.Decide(ctx, expense, id, Decision{Approved: true}); err != nil {
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
