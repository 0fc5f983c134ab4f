//go:build unix

package async_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// punctual is a Temporal server that takes 5 ms for a call. For each of many
// activities, it remembers when the last beat came.
type punctual struct {
	timeout time.Duration
	calls   atomic.Int64
	gone    *atomic.Bool // set when the calling process is gone
	dies    time.Time    // the process dies at its first call after this time; zero: never

	mu     *sync.Mutex
	last   map[string]time.Time // by token
	late   *[]time.Duration     // how long after its due time each beat came
	missed *int
}

func (c *punctual) call(ctx context.Context) error {
	c.calls.Add(1)
	if !c.dies.IsZero() && !time.Now().Before(c.dies) {
		c.gone.Store(true)
	}
	time.Sleep(5 * time.Millisecond)
	if c.gone.Load() {
		<-ctx.Done() // the process never continues
		return ctx.Err()
	}
	return nil
}

func (c *punctual) Heartbeat(ctx context.Context, t completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
	if err := c.call(ctx); err != nil {
		return completer.Signals{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beat(string(t.TaskToken))
	return completer.Signals{}, nil
}

// The caller of beat holds mu.
func (c *punctual) beat(token string) {
	gap := time.Since(c.last[token])
	*c.late = append(*c.late, gap-c.timeout/3)
	if gap >= c.timeout {
		*c.missed++
	}
	c.last[token] = time.Now()
}

func (c *punctual) Describe(ctx context.Context, t completer.Target, _ string) (completer.Status, error) {
	if err := c.call(ctx); err != nil {
		return completer.Status{}, err
	}
	return completer.Status{Pending: true, Running: true, Started: t.Started}, nil
}

func (*punctual) Complete(context.Context, completer.Target, completer.Outcome) error { return nil }

// TestScale heartbeats for many activities with two hubs. One of the hubs dies
// half-way, while it holds claims. There are 5,000 activities, or 100,000 with
// LATCHKEY_SOAK.
func TestScale(t *testing.T) {
	activities := 5_000
	switch {
	case os.Getenv("LATCHKEY_SOAK") != "":
		activities = 100_000
	case async.Race:
		activities = 1_000 // the test takes eight times as long with the race detector
	}
	synctest.Test(t, func(t *testing.T) {
		const timeout = 30 * time.Second
		shared := store.NewMemory()
		var mu sync.Mutex
		late := make([]time.Duration, 0, activities*75)
		missed := 0
		last := make(map[string]time.Time, activities)
		stores := make([]*watched, 2)
		hubs := make([]*async.Hub, 2)
		calls := make([]*punctual, 2)
		for i := range hubs {
			stores[i] = &watched{Store: shared}
			calls[i] = &punctual{timeout: timeout, gone: &stores[i].gone, mu: &mu, last: last, late: &late, missed: &missed}
			var err error
			hubs[i], err = async.New(async.Options{Store: stores[i], Completer: calls[i], Concurrency: 512})
			wantNil(t, err)
		}
		info := attempt(1)
		info.HeartbeatTimeout = timeout
		for n := range activities {
			// A workflow cannot start all of them at once.
			if n%(activities/100) == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			info.ActivityID, info.TaskToken, info.StartedTime = fmt.Sprint(n), fmt.Append(nil, n), time.Now()
			last[string(info.TaskToken)] = time.Now()
			err := async.StartAttempt(t.Context(), hubs[n%2], info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
			if err != activity.ErrResultPending {
				t.Fatalf("Start of activity %d returned %v", n, err)
			}
		}
		cpu := cpuTime()
		calls[1].dies = time.Now().Add(5 * time.Minute)
		for _, h := range hubs {
			runHub(t, h)
		}
		pass(10 * time.Minute)
		if !stores[1].gone.Load() {
			t.Error("the second hub has not died")
		}
		cpu = cpuTime() - cpu

		mu.Lock()
		defer mu.Unlock()
		beats := len(late)
		for token := range last {
			calls[0].beat(token) // simulates a beat now: no beat may be late already
		}
		late = late[:beats]
		slices.Sort(late)
		ops := stores[0].claims.Load() + stores[0].others.Load() + stores[1].claims.Load() + stores[1].others.Load()
		t.Logf("%d activities, %d beats in ten minutes; after a third of the heartbeat timeout: p50 %v, p99 %v, max %v", activities, beats,
			late[beats/2].Round(time.Millisecond), late[beats*99/100].Round(time.Millisecond), late[beats-1].Round(time.Millisecond))
		t.Logf("%d store operations (%d claims), %.2f for each beat; %d calls of Temporal; %v of CPU, %v for each beat", ops,
			stores[0].claims.Load()+stores[1].claims.Load(), float64(ops)/float64(beats), calls[0].calls.Load()+calls[1].calls.Load(),
			cpu.Round(time.Millisecond), (cpu / time.Duration(beats)).Round(100*time.Nanosecond))
		if missed > 0 {
			t.Errorf("%d heartbeat timeouts were missed, want none", missed)
		}
		if beats < activities*50 {
			t.Errorf("%d beats for %d activities in ten minutes, want one each 8 to 11 s", beats, activities)
		}
	})
}

// cpuTime returns the processor time that this process has used so far.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
