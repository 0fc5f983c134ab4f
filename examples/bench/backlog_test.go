package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// backlogSize is the number of accepted answers that wait when Temporal is
// back. callTime is the duration of a call to Temporal, about as long as
// between two regions of a continent.
const (
	backlogSize = 100_000
	callTime    = 10 * time.Millisecond
)

// BenchmarkBacklog delivers answers that were accepted while Temporal was away,
// in the memory store. x-bare is the throughput, divided by that of 64 callers
// that only make the calls. The hub has 64 slots for answers, because a quarter
// of Concurrency is reserved for heartbeats.
func BenchmarkBacklog(b *testing.B) {
	var ratios, rates []float64
	for b.Loop() {
		for range 3 {
			theirs := timed(b, make([]string, backlogSize), func(context.Context, string) error {
				time.Sleep(callTime)
				return nil
			})
			ours := drain(b)
			ratios = append(ratios, theirs.Seconds()/ours.Seconds())
			rates = append(rates, backlogSize/ours.Seconds())
		}
	}
	b.ReportMetric(0, "ns/op") // the rounds report their own times
	b.ReportMetric(median(rates), "rate/s")
	reportRatio(b, "x-bare", ratios)
}

// drain returns how long a hub takes to deliver a backlog.
func drain(b *testing.B) time.Duration {
	b.Helper()
	a := newAccepting(b, openStore(b, "memory:"))
	timed(b, a.fill(b, backlogSize), a.answer)
	calls := &slow{over: make(chan struct{})}
	hub, err := async.New(async.Options{Store: a.store, Completer: calls, Concurrency: (4*answerers + 2) / 3, Logger: quiet})
	must(b, err)
	ctx, stop := context.WithTimeout(b.Context(), 10*time.Minute)
	ended := make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(ended)
		_ = hub.Run(ctx)
	}()
	select {
	case <-calls.over:
	case <-ctx.Done():
		b.Errorf("%d of %d answers were delivered", calls.taken.Load(), backlogSize)
	}
	took := time.Since(begun)
	stop()
	<-ended
	return took
}

// slow is a completer whose calls take callTime.
type slow struct {
	completer.Completer
	taken atomic.Int64
	over  chan struct{} // closed when a backlog is delivered
}

func (s *slow) Complete(context.Context, completer.Target, completer.Outcome) error {
	time.Sleep(callTime)
	if s.taken.Add(1) == backlogSize {
		close(s.over)
	}
	return nil
}

func (s *slow) Heartbeat(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
	time.Sleep(callTime)
	return completer.Signals{}, nil
}

func (s *slow) Describe(context.Context, completer.Target, string) (completer.Status, error) {
	time.Sleep(callTime)
	return completer.Status{Pending: true, Running: true}, nil
}
