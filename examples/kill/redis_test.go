//go:build unix

package kill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/redistest"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/redis"
)

// failover is the test's plan: how long Redis is killed repeatedly, and how
// many activities are answered during that time.
type failover struct {
	lasts      time.Duration
	every      time.Duration // the time from one kill to the next
	down       time.Duration // the part of every in which Redis is down
	activities int
}

// TestRedisRestartsWhileAnswering kills Redis every few seconds while
// activities start, and while their failures and results arrive. No failure
// ends two attempts, and no attempt ends because the store was unreachable.
func TestRedisRestartsWhileAnswering(t *testing.T) {
	plan := failover{lasts: 30 * time.Second, every: 10 * time.Second, down: 2 * time.Second, activities: 60}
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		plan.lasts, plan.activities = 3*time.Minute, 300
	}
	ctx, cancel := context.WithTimeout(t.Context(), plan.lasts+bound)
	defer cancel()
	options, server, redis := server.Server(t).ClientOptions(), server.Client(t), redistest.New(t)
	reporter, err := completer.New(completer.Client{Client: server, Options: options})
	must(t, err)
	s, err := store.Open(ctx, redis.URL())
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	hub, err := async.New(async.Options{Store: s, Completer: reporter, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)

	o := &answering{hub: hub, rounds: make(map[int]int), begin: time.Now()}
	queue := fmt.Sprintf("failover-%d", rand.Uint64())
	w := worker.New(server, queue, worker.Options{})
	w.RegisterWorkflowWithOptions(askFourTimes, workflow.RegisterOptions{Name: "askFourTimes"})
	w.RegisterActivityWithOptions(func(actx context.Context, n int) (string, error) {
		return async.Start(actx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[string]) error {
			o.asked(ctx, n, p.ID())
			return nil
		})
	}, activity.RegisterOptions{Name: "ask"})
	must(t, w.Start())
	t.Cleanup(w.Stop)
	running, stop := context.WithCancel(ctx)
	var hubs sync.WaitGroup
	hubs.Go(func() { _ = hub.Run(running) }) // Run returns the cause of its context's end
	defer hubs.Wait()
	defer stop()

	// The workflows start evenly over the time in which Redis is killed.
	runs := make([]client.WorkflowRun, plan.activities)
	var starting sync.WaitGroup
	starting.Go(func() {
		for n := range runs {
			after(ctx, plan.lasts/time.Duration(plan.activities))
			run, err := server.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, "askFourTimes", n)
			if err != nil {
				t.Errorf("start workflow %d: %v", n, err)
				return
			}
			runs[n] = run
		}
	})
	kills := 0
	for ; time.Since(o.begin) < plan.lasts; kills++ {
		after(ctx, plan.every-plan.down)
		redis.Kill()
		after(ctx, plan.down)
		redis.Restart()
	}
	starting.Wait()
	if t.Failed() {
		return
	}

	attempts := make(map[int32]int)
	for n, run := range runs {
		var got string
		if err := run.Get(ctx, &got); err != nil || got != answerOf(n) {
			t.Errorf("activity %d: the workflow read %q, %v, want %q", n, got, err, answerOf(n))
			continue
		}
		used := attemptsOf(ctx, t, server, run)
		attempts[used]++
		if want := int32(1 + n%2); used != want {
			t.Errorf("activity %d ended in attempt %d, want %d: each failure ends one attempt, and the store none", n, used, want)
		}
	}
	o.calls.Wait()
	t.Logf("%d activities in %v, Redis killed %d times; by attempts: %v; calls repeated: %d",
		plan.activities, time.Since(o.begin).Round(time.Second), kills, attempts, o.repeats())
}

// askFourTimes awaits one activity, which may take four attempts.
func askFourTimes(ctx workflow.Context, n int) (answer string, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1, MaximumAttempts: 4},
	})
	return answer, workflow.ExecuteActivity(ctx, "ask", n).Get(ctx, &answer)
}

func answerOf(n int) string { return fmt.Sprintf("answer %d", n) }

// attemptsOf returns the attempt in which a run's activity ended.
func attemptsOf(ctx context.Context, t *testing.T, c client.Client, run client.WorkflowRun) (n int32) {
	t.Helper()
	events := c.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		must(t, err)
		if a := e.GetActivityTaskStartedEventAttributes(); a != nil {
			n = a.GetAttempt()
		}
	}
	return n
}

// answering is the external system. answering fails the first round of every
// second activity, and repeats a call until its outcome is known.
type answering struct {
	hub   *async.Hub
	begin time.Time
	calls sync.WaitGroup

	mu       sync.Mutex
	rounds   map[int]int // the number of IDs that each activity has had
	last     map[int]string
	repeated int
}

// asked answers a moment later, once for each callback ID.
func (o *answering) asked(ctx context.Context, n int, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = make(map[int]string)
	}
	if o.last[n] == id {
		return // the activity has asked again within the round
	}
	o.last[n] = id
	o.rounds[n]++
	fails := n%2 == 1 && o.rounds[n] == 1
	o.calls.Go(func() {
		after(ctx, rand.N(5*time.Second))
		for ctx.Err() == nil {
			if o.answer(ctx, n, id, fails) == nil {
				return
			}
			o.mu.Lock()
			o.repeated++
			o.mu.Unlock()
			after(ctx, 200*time.Millisecond)
		}
	})
}

func (o *answering) answer(ctx context.Context, n int, id string, fails bool) error {
	p, err := async.Open[string](ctx, o.hub, id)
	if err != nil {
		return err
	}
	if fails {
		return p.Fail(ctx, errors.New("not yet"))
	}
	return p.Complete(ctx, answerOf(n))
}

func (o *answering) repeats() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.repeated
}

// after waits for the duration d, or until ctx ends.
func after(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}
