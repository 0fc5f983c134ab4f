package bench

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// BenchmarkAway answers 500 times a second while connections to Temporal are
// refused. x-settle is the 99th percentile of an answer's time, divided by that
// of a hub without a completer. Callers without a pause would measure the
// machine: after each answer, the hub leaves the entry to other hubs, which is
// one more write.
func BenchmarkAway(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			at := kind.start(b)
			s := openStore(b, at.url)
			alone := newAccepting(b, s)
			away := newAccepting(b, s)
			away.hub = newAwayHub(b, away)
			timed(b, away.fill(b, awayRound), away.answer) // the breaker opens
			var ratios, p99 []float64
			for b.Loop() {
				for turn, begun := 0, time.Now(); turn < minTurns || time.Since(begun) < 15*time.Second && turn < maxTurns; turn++ {
					var without, with latencies
					timed(b, alone.fill(b, awayRound), paced(without.of(alone.answer)))
					timed(b, away.fill(b, awayRound), paced(with.of(away.answer)))
					ratios = append(ratios, quantile(with.all, 0.99).Seconds()/quantile(without.all, 0.99).Seconds())
					p99 = append(p99, quantile(with.all, 0.99).Seconds()*1000)
				}
			}
			b.ReportMetric(0, "ns/op") // the rounds report their own times
			b.ReportMetric(median(p99), "p99-ms")
			reportRatio(b, "x-settle", ratios)
		})
	}
}

// awayRound is the number of answers in a round, and awayPace is the time
// between them.
const awayRound, awayPace = 1000, 2 * time.Millisecond

// paced returns a function that calls do at least awayPace after the previous
// call.
func paced(do func(ctx context.Context, id string) error) func(ctx context.Context, id string) error {
	begun := time.Now()
	var next atomic.Int64
	return func(ctx context.Context, id string) error {
		time.Sleep(time.Until(begun.Add(time.Duration(next.Add(1)) * awayPace)))
		return do(ctx, id)
	}
}

// newAwayHub runs a hub on the store. The client of this hub finds no server.
func newAwayHub(b *testing.B, a *accepting) *async.Hub {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	address := l.Addr().String()
	must(b, l.Close()) // no server listens there now
	c, err := client.NewLazyClient(client.Options{HostPort: address, Namespace: a.namespace, Logger: discard{}})
	must(b, err)
	b.Cleanup(c.Close)
	reporter, err := completer.New(completer.Client{Client: c})
	must(b, err)
	hub, err := async.New(async.Options{Store: a.store, Completer: reporter, Logger: quiet})
	must(b, err)
	run(b, hub)
	return hub
}

// run runs a hub until the benchmark ends.
func run(b *testing.B, hub *async.Hub) {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = hub.Run(ctx) })
	b.Cleanup(running.Wait)
	b.Cleanup(stop)
}

// discard is a logger for the SDK that writes nothing.
type discard struct{}

func (discard) Debug(string, ...any) {}
func (discard) Info(string, ...any)  {}
func (discard) Warn(string, ...any)  {}
func (discard) Error(string, ...any) {}
