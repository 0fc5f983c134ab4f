package bench

import (
	"context"
	"sync"
	"testing"
	"time"
)

// latencies are the durations of single calls. latencies is safe for concurrent
// use.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

// of returns a function that calls do and records the duration of each call.
func (l *latencies) of(do func(ctx context.Context, id string) error) func(ctx context.Context, id string) error {
	return func(ctx context.Context, id string) error {
		begun := time.Now()
		err := do(ctx, id)
		took := time.Since(begun)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, took)
		return err
	}
}

// report reports the median and the 99th percentile in milliseconds.
func (l *latencies) report(b *testing.B, prefix string) {
	b.Helper()
	b.ReportMetric(quantile(l.all, 0.5).Seconds()*1000, prefix+"p50-ms")
	b.ReportMetric(quantile(l.all, 0.99).Seconds()*1000, prefix+"p99-ms")
}
