package bench

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkBeat heartbeats for waiting activities. The bare SDK uses n
// goroutines that have the task tokens in memory. A hub makes n calls at once,
// and also claims entries and writes them back. In a round, each activity gets
// one heartbeat. The rounds of both alternate, on one server and for the same
// activities, so that a change in the machine's speed affects both alike.
//
// x-sdk is Latchkey's throughput, divided by the bare SDK's. x-floor is the
// same ratio, but before each call of the bare SDK, the benchmark makes one bare
// read and one bare write on the store's server. Both metrics are medians over
// the rounds. Each heartbeat of Latchkey is a durable write.
func BenchmarkBeat(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			at := kind.start(b)
			w := newBeats(b, openStore(b, at.url), answerers)
			if at.floor != nil {
				w.floor = at.floor(b)
			}
			w.measure(b)
		})
	}
}

// interval is short enough that all beats are due in the next round, and long
// enough that no beat is due twice in a round.
const interval = 5 * time.Millisecond

// beats is a set of waiting activities.
type beats struct {
	client  client.Client
	hub     *async.Hub
	sent    *counting
	tokens  [][]byte
	callers int
	floor   func(ctx context.Context) error // a bare read and a bare write
}

// counting is a completer that counts the accepted beats.
type counting struct {
	completer.Completer
	taken atomic.Int64
}

func (c *counting) Heartbeat(ctx context.Context, t completer.Target, d *commonpb.Payloads) (completer.Signals, error) {
	signals, err := c.Completer.Heartbeat(ctx, t, d)
	if err == nil {
		c.taken.Add(1)
	}
	return signals, err
}

func newBeats(b *testing.B, s store.Store, callers int) *beats {
	b.Helper()
	w := &beats{client: server.Client(b), callers: callers}
	reporter, err := completer.New(completer.Client{Client: w.client})
	must(b, err)
	w.sent = &counting{Completer: reporter}
	w.hub, err = async.New(async.Options{
		Store: s, Completer: w.sent, Concurrency: callers, Pumps: map[string]heartbeat.Pump{"": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{Interval: interval})},
	})
	must(b, err)
	waiting := make(chan []byte, 10000)
	r := rig.New(b, rig.Options{Client: w.client, Register: func(r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
			d, err := async.Start(ctx, w.hub, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
			waiting <- activity.GetInfo(ctx).TaskToken
			return d, err
		}, activity.RegisterOptions{Name: "waits"})
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
			o := workflow.ActivityOptions{StartToCloseTimeout: time.Hour, HeartbeatTimeout: time.Hour}
			return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), "waits").Get(ctx, nil)
		}, workflow.RegisterOptions{Name: "wait"})
	}, Worker: worker.Options{MaxConcurrentActivityTaskPollers: 4, MaxConcurrentWorkflowTaskPollers: 4}})
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	b.Cleanup(cancel)
	runs := make([]client.WorkflowRun, max(128, 8*callers)) // large enough that the start and end of a round matter little
	var failed atomic.Pointer[error]
	each(len(runs), 8, func(i int) {
		var err error
		if runs[i], err = w.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: r.Queue}, "wait"); err != nil {
			failed.Store(&err)
		}
	})
	check(b, &failed)
	b.Cleanup(func() {
		each(len(runs), 8, func(i int) {
			_ = w.client.TerminateWorkflow(context.WithoutCancel(ctx), runs[i].GetID(), runs[i].GetRunID(), "the benchmark is over")
		})
	})
	for range runs {
		select {
		case token := <-waiting:
			w.tokens = append(w.tokens, token)
		case <-ctx.Done():
			b.Fatalf("%d of %d activities wait", len(w.tokens), len(runs))
		}
	}
	return w
}

// beatTurns is the number of rounds of each contestant. Rounds are short, and
// their times vary.
const beatTurns = 21

// measure runs one round of each contestant in turn.
func (w *beats) measure(b *testing.B) {
	w.bare(b, nil) // warms up
	w.latchkey(b)
	var ratios, floors, rates []float64
	for b.Loop() {
		for turn := range beatTurns {
			var bare, floor, ours time.Duration
			rounds := []func(){
				func() { bare = w.bare(b, nil) },
				func() { ours = w.latchkey(b) },
			}
			if w.floor != nil {
				rounds = append(rounds, func() { floor = w.bare(b, w.floor) })
			}
			first := turn % len(rounds)
			for _, round := range slices.Concat(rounds[first:], rounds[:first]) {
				time.Sleep(interval)
				round()
			}
			ratios = append(ratios, bare.Seconds()/ours.Seconds())
			floors = append(floors, floor.Seconds()/ours.Seconds())
			rates = append(rates, float64(len(w.tokens))/ours.Seconds())
		}
	}
	b.ReportMetric(0, "ns/op") // the rounds report their own times
	reportRatio(b, "x-sdk", ratios)
	if w.floor != nil {
		reportRatio(b, "x-floor", floors)
	}
	b.ReportMetric(median(rates), "rate/s")
}

// bare sends beats with the SDK. Before each call, bare calls the given
// function.
func (w *beats) bare(b *testing.B, before func(ctx context.Context) error) time.Duration {
	b.Helper()
	var failed atomic.Pointer[error]
	begun := time.Now()
	each(len(w.tokens), w.callers, func(i int) {
		if before != nil {
			if err := before(b.Context()); err != nil {
				failed.Store(&err)
			}
		}
		if err := w.client.RecordActivityHeartbeat(b.Context(), w.tokens[i]); err != nil {
			failed.Store(&err)
		}
	})
	took := time.Since(begun)
	check(b, &failed)
	return took
}

// latchkey makes the hub do everything that is due.
func (w *beats) latchkey(b *testing.B) time.Duration {
	b.Helper()
	before := w.sent.taken.Load()
	begun := time.Now()
	_, err := w.hub.Work(b.Context())
	took := time.Since(begun)
	must(b, err)
	if n := w.sent.taken.Load() - before; n != int64(len(w.tokens)) {
		b.Fatalf("%d beats were taken in a round, want one for each of %d activities", n, len(w.tokens))
	}
	return took
}
