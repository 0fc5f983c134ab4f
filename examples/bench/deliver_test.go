package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/examples/internal/devserver/devtest"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/store"
)

// server runs the Temporal server as if it had a machine of its own: with half
// of the processors, and with garbage collections only between the rounds. The
// server writes the positions of its queues often. By default the server writes
// them every 30 s, and until then each task takes longer.
var server = devtest.Shared{Options: devserver.Options{
	Env: []string{fmt.Sprint("GOMAXPROCS=", max(1, runtime.NumCPU()/2)), "GOGC=off", "GOMEMLIMIT=2GiB"},
	DynamicConfig: map[string]any{
		"history.timerProcessorUpdateAckInterval":      "1s",
		"history.transferProcessorUpdateAckInterval":   "1s",
		"history.visibilityProcessorUpdateAckInterval": "1s",
	},
}}

func TestMain(m *testing.M) {
	var err error
	if server.Options.Processors, err = leaveHalf(); err != nil {
		fmt.Fprintln(os.Stderr, "the processors can't be shared out:", err)
		os.Exit(1)
	}
	// Go would use this value in a container with a quota of one processor.
	// With 1, Go runs nothing else while a file is synced, until it notices the
	// blocked call.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	}
	os.Exit(server.Main(m))
}

// Decision is the type that the activities await.
type Decision struct {
	Approved bool
	By       string
}

var approved = Decision{Approved: true, By: "Ann"}

// BenchmarkDeliver answers waiting activities as a handler of callbacks does.
// The bare SDK uses the task token that it got; Latchkey uses the callback ID,
// and Open is included. The rounds of both alternate on one server, so that a
// change in the machine's speed affects both alike.
//
// x-arrived compares the time until the answers have reached their workflows:
// it is Latchkey's throughput, divided by the bare SDK's, as the median over
// the rounds. The rate of x-arrived can be sustained. For x-floor, the SDK
// makes one bare read and one bare write on the store's server before each
// call, which is the least cost of keeping a token. x-sdk compares the
// throughput until the last call returns. The stores sync each write;
// Temporal's server keeps all data in memory.
func BenchmarkDeliver(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			at := kind.start(b)
			w := newWorld(b, openStore(b, at.url))
			if at.floor != nil {
				w.floor = at.floor(b)
			}
			w.measure(b)
		})
	}
}

// turns is the number of rounds of each contestant. The result of a single
// round varies by about 12 %. Most of a round's time is the server's, which
// starts the workflows.
const turns = 6

// answerers is the number of callers that answer at once.
const answerers = 64

// measure runs one round of each contestant in turn: the SDK, Latchkey, and the
// floor. One iteration takes far longer than the second that the framework
// requires, so there is only one.
func (w *world) measure(b *testing.B) {
	const each = 2 * answerers // number of answers in a round: large enough that its start and end, when callers are idle, matter little
	w.bare(b, each)            // warms up
	w.latchkey(b, each)
	var calls, arrived, floors, rates []float64
	for b.Loop() {
		for turn := range turns {
			var bare, ours, floor lap
			rounds := []func(){
				func() { bare = w.bare(b, each) },
				func() { ours = w.latchkey(b, each) },
			}
			if w.floor != nil {
				rounds = append(rounds, func() { floor = w.bareBeside(b, each, w.floor) })
			}
			first := turn % len(rounds)
			for _, round := range slices.Concat(rounds[first:], rounds[:first]) {
				round()
			}
			calls = append(calls, bare.calls/ours.calls)
			arrived = append(arrived, bare.all/ours.all)
			floors = append(floors, floor.all/ours.all)
			rates = append(rates, float64(each)/ours.all)
		}
	}
	b.ReportMetric(0, "ns/op") // the rounds report their own times
	b.ReportMetric(median(calls), "x-sdk")
	reportRatio(b, "x-arrived", arrived)
	if w.floor != nil {
		reportRatio(b, "x-floor", floors)
	}
	b.ReportMetric(median(rates), "rate/s")
}

// world is a worker with both activities. Each activity passes its token or
// callback ID to the test.
type world struct {
	client client.Client
	hub    *async.Hub
	queue  string
	tokens chan []byte
	ids    chan string
	over   chan struct{}                   // a workflow has its answer
	floor  func(ctx context.Context) error // a bare read and a bare write
}

// lap has the durations of a round in seconds: until the last call returned,
// and until the workflows had all the answers.
type lap struct{ calls, all float64 }

func newWorld(b *testing.B, s store.Store) *world {
	b.Helper()
	w := &world{client: server.Client(b), tokens: make(chan []byte, 1000), ids: make(chan string, 1000), over: make(chan struct{}, 1000)}
	reporter, err := completer.New(completer.Client{Client: w.client})
	must(b, err)
	w.hub, err = async.New(async.Options{Store: s, Completer: reporter})
	must(b, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.hub.Run(ctx) })
	b.Cleanup(running.Wait)
	b.Cleanup(stop)
	r := rig.New(b, rig.Options{Client: w.client, Register: func(r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
			w.tokens <- activity.GetInfo(ctx).TaskToken
			return Decision{}, activity.ErrResultPending
		}, activity.RegisterOptions{Name: "bare"})
		r.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
			var id string
			d, err := async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
				id = p.ID()
				return nil
			})
			w.ids <- id // sent only now, because the hand-off is not measured
			return d, err
		}, activity.RegisterOptions{Name: "latchkey"})
		r.RegisterWorkflowWithOptions(w.await, workflow.RegisterOptions{Name: "await"})
	}, Worker: worker.Options{MaxConcurrentActivityTaskPollers: 4, WorkflowTaskPollerBehavior: fourEach}})
	w.queue = r.Queue
	return w
}

// fourEach polls the normal queue with four pollers, whatever the number for
// the sticky queue. By default, all pollers of the SDK poll the sticky queue
// while it has a backlog. New workflows then wait until one of these polls
// ends: 5 to 10 s, in one of ten rounds.
var fourEach = worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
	InitialNumberOfPollers: 4, MinimumNumberOfPollers: 4, MaximumNumberOfPollers: 4,
})

// await is a workflow with one activity.
func (w *world) await(ctx workflow.Context, activity string) (Decision, error) {
	var d Decision
	o := workflow.ActivityOptions{StartToCloseTimeout: time.Hour, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), activity).Get(ctx, &d)
	if !workflow.IsReplaying(ctx) {
		w.over <- struct{}{}
	}
	return d, err
}

// bare measures a round of n answers that the SDK sends with task tokens.
func (w *world) bare(b *testing.B, n int) lap {
	return w.bareBeside(b, n, func(context.Context) error { return nil })
}

// bareBeside is like bare, with another call before each answer.
func (w *world) bareBeside(b *testing.B, n int, before func(ctx context.Context) error) lap {
	return round(b, w, "bare", w.tokens, n, func(ctx context.Context, token []byte) error {
		if err := before(ctx); err != nil {
			return err
		}
		return w.client.CompleteActivity(ctx, token, approved, nil)
	})
}

// latchkey answers with only the callback ID.
func (w *world) latchkey(b *testing.B, n int) lap {
	return round(b, w, "latchkey", w.ids, n, func(ctx context.Context, id string) error {
		p, err := async.Open[Decision](ctx, w.hub, id)
		if err != nil {
			return err
		}
		return p.Complete(ctx, approved)
	})
}

// round makes n activities wait, and then answers all of them. round returns
// when the workflows have ended, so that the next round has the machine to
// itself.
func round[T any](b *testing.B, w *world, name string, waiting <-chan T, n int, answer func(ctx context.Context, waits T) error) lap {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	runs := make([]client.WorkflowRun, n)
	var failed atomic.Pointer[error]
	each(n, 8, func(i int) {
		var err error
		if runs[i], err = w.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: w.queue}, "await", name); err != nil {
			failed.Store(&err)
		}
	})
	check(b, &failed)
	asked := make([]T, n)
	for i := range asked {
		select {
		case asked[i] = <-waiting:
		case <-ctx.Done():
			b.Fatalf("%d of %d activities wait", i, n)
		}
	}
	w.settle(b, ctx, runs)
	must(b, server.Server(b).Collect())
	begun := time.Now()
	each(n, answerers, func(i int) {
		if err := answer(ctx, asked[i]); err != nil {
			failed.Store(&err)
		}
	})
	calls := time.Since(begun)
	check(b, &failed)
	for i := range n {
		select {
		case <-w.over:
		case <-ctx.Done():
			b.Fatalf("%d of %d answers reached their workflows", i, n)
		}
	}
	took := lap{calls: calls.Seconds(), all: time.Since(begun).Seconds()}
	for _, run := range runs {
		var d Decision
		if err := run.Get(ctx, &d); err != nil || d != approved {
			b.Fatalf("a workflow read %+v, %v", d, err)
		}
	}
	return took
}

// settle waits until the hand-off is complete: the worker has reported the last
// activity's function, and the server has no task left.
func (w *world) settle(b *testing.B, ctx context.Context, runs []client.WorkflowRun) {
	b.Helper()
	last := runs[len(runs)-1]
	for {
		d, err := w.client.DescribeWorkflowExecution(ctx, last.GetID(), last.GetRunID())
		must(b, err)
		if p := d.GetPendingActivities(); len(p) == 1 && p[0].GetLastStartedTime() != nil && d.GetPendingWorkflowTask() == nil {
			return
		}
	}
}

// each calls do for every number below n, from the given number of goroutines.
func each(n, callers int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				do(int(i - 1))
			}
		})
	}
	wg.Wait()
}

func check(b *testing.B, failed *atomic.Pointer[error]) {
	b.Helper()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
