package redis_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store/redis"
)

// twoHubs are a hub that only settles and a running hub. The two hubs share a
// server but have separate connections, as two processes do.
type twoHubs struct {
	settles   *async.Hub
	runs      *async.Hub
	env       *testsuite.TestActivityEnvironment
	delivered chan time.Time
}

// newTwoHubs returns two hubs. The running hub polls at the given interval.
func newTwoHubs(tb testing.TB, poll time.Duration) *twoHubs {
	tb.Helper()
	server := startServer(tb)
	open := func() *redis.Store {
		return openStore(tb, newClient(tb, &goredis.Options{Addr: server.addr}), redis.Options{})
	}
	var suite testsuite.WorkflowTestSuite
	h := &twoHubs{env: suite.NewTestActivityEnvironment(), delivered: make(chan time.Time, 100)}
	var err error
	if h.settles, err = async.New(async.Options{Store: open()}); err != nil {
		tb.Fatal(err)
	}
	temporal := &asynctest.Completer{CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error {
		h.delivered <- time.Now()
		return nil
	}}
	if h.runs, err = async.New(async.Options{Store: open(), Completer: temporal, PollInterval: poll}); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = h.runs.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return h
}

// start starts an activity and returns its callback ID.
func (h *twoHubs) start(tb testing.TB, n int) (id string) {
	tb.Helper()
	name := fmt.Sprint("Approve-", n)
	h.env.RegisterActivityWithOptions(func(ctx context.Context) (string, error) {
		return async.Start(ctx, h.runs, async.StartOptions{Key: name}, func(_ context.Context, p async.Pending[string]) error {
			id = p.ID()
			return nil
		})
	}, activity.RegisterOptions{Name: name})
	if _, err := h.env.ExecuteActivity(name); err != activity.ErrResultPending {
		tb.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	return id
}

func (h *twoHubs) settle(tb testing.TB, id string) {
	tb.Helper()
	p, err := async.Open[string](tb.Context(), h.settles, id)
	if err == nil {
		err = p.Complete(tb.Context(), "yes")
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// TestAnswerWakesAnotherProcess settles an answer in one process, and another
// process delivers it. The second process polls once an hour, so only a signal
// can cause the delivery.
func TestAnswerWakesAnotherProcess(t *testing.T) {
	t.Parallel()
	h := newTwoHubs(t, time.Hour)
	// The first signals may be lost while the hub does not watch yet.
	for n := 0; ; n++ {
		h.settle(t, h.start(t, n))
		select {
		case <-h.delivered:
			return
		case <-time.After(time.Second):
		}
		if n == 60 {
			t.Fatal("none of 60 answers was delivered within a second")
		}
	}
}

// BenchmarkSettledToDelivered measures the time from the call of Complete in
// one process to the delivery by another, idle process.
func BenchmarkSettledToDelivered(b *testing.B) {
	h := newTwoHubs(b, time.Second)
	var times []time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		id := h.start(b, n)
		time.Sleep(200 * time.Millisecond) // waits until the other process is idle
		b.StartTimer()
		begun := time.Now()
		h.settle(b, id)
		times = append(times, (<-h.delivered).Sub(begun))
	}
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(times[len(times)/2]), "p50-ms")
	b.ReportMetric(ms(times[len(times)*9/10]), "p90-ms")
}
