package async_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// cluster is a server with two namespaces; "default" can be unreachable.
type cluster struct {
	away func(ctx context.Context) error // how a call ends while the namespace is unreachable
	is   atomic.Bool

	mu        sync.Mutex
	delivered []string // activity IDs, in order of delivery
	beats     map[string]time.Time
	late      int // number of heartbeats that came after 30 s
}

func (c *cluster) call(ctx context.Context, namespace string) error {
	if namespace == "default" && c.is.Load() {
		return c.away(ctx)
	}
	time.Sleep(2 * time.Millisecond)
	return nil
}

func (c *cluster) Complete(ctx context.Context, t completer.Target, _ completer.Outcome) error {
	if err := c.call(ctx, t.Namespace); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivered = append(c.delivered, t.ActivityID)
	return nil
}

func (c *cluster) Heartbeat(ctx context.Context, t completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
	if err := c.call(ctx, t.Namespace); err != nil {
		return completer.Signals{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.beats[t.ActivityID]) >= 30*time.Second {
		c.late++
	}
	c.beats[t.ActivityID] = time.Now()
	return completer.Signals{}, nil
}

func (c *cluster) Describe(ctx context.Context, t completer.Target, _ string) (completer.Status, error) {
	return completer.Status{Pending: true, Running: true, Started: t.Started}, c.call(ctx, t.Namespace)
}

func (c *cluster) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.delivered)
}

// While a namespace is unreachable, answers are accepted at the store's speed,
// and heartbeats of other namespaces continue. When the namespace is back,
// everything is delivered at once, the oldest first.
func TestOutage(t *testing.T) {
	for name, away := range map[string]func(ctx context.Context) error{
		"connections are refused": func(context.Context) error {
			time.Sleep(4 * time.Millisecond)
			return serviceerror.NewUnavailable("connection refused")
		},
		"calls hang": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		for _, hubs := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d hubs", name, hubs), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { outage(t, away, hubs) })
			})
		}
	}
}

func outage(t *testing.T, away func(ctx context.Context) error, hubs int) {
	const perSecond, seconds, others = 200, 60, 5_000
	c := &cluster{away: away, beats: make(map[string]time.Time)}
	s := store.NewMemory()
	var fleet []*async.Hub
	for range hubs {
		h, err := async.New(async.Options{Store: s, Completer: c, Logger: slog.New(slog.DiscardHandler)})
		wantNil(t, err)
		fleet = append(fleet, h)
	}
	start := func(id, namespace string, timeout time.Duration) (p async.Pending[Decision]) {
		info := attemptNow(1, timeout)
		info.Namespace, info.ActivityID = namespace, id
		info.TaskToken = []byte("token-of-" + id)
		_ = async.StartAttempt(t.Context(), fleet[0], info, async.StartOptions{}, func(_ context.Context, asked async.Pending[Decision]) error {
			p = asked
			return nil
		})
		return p
	}
	waiting := make([]async.Pending[Decision], perSecond*seconds)
	for i := range waiting {
		waiting[i] = start(fmt.Sprintf("answer-%05d", i), "default", 0)
	}
	for i := range others {
		id := fmt.Sprintf("other-%04d", i)
		c.beats[id] = time.Now()
		start(id, "reachable", 30*time.Second)
	}
	ctx, stop := context.WithCancel(t.Context())
	var runs, callers sync.WaitGroup
	for _, h := range fleet {
		runs.Go(func() { _ = h.Run(ctx) })
	}
	pass(time.Minute)
	before := runtime.NumGoroutine()

	c.is.Store(true)
	took := make([]time.Duration, len(waiting))
	goroutines := 0
	for i, p := range waiting {
		time.Sleep(time.Second / perSecond)
		callers.Go(func() {
			p, err := async.Open[Decision](t.Context(), fleet[i%hubs], p.ID())
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			began := time.Now()
			if err := p.Complete(t.Context(), Decision{}); err != nil {
				t.Errorf("Complete: %v", err)
			}
			took[i] = time.Since(began)
		})
		if i%perSecond == 0 {
			goroutines = max(goroutines, runtime.NumGoroutine())
		}
	}
	callers.Wait()
	after := slices.Sorted(slices.Values(took[3*perSecond:]))
	if p99 := after[len(after)*99/100]; p99 > 20*time.Millisecond {
		t.Errorf("from the third second on the 99th percentile of Complete is %v, want at most 20 ms", p99)
	}
	if bound := before + 5*perSecond; goroutines > bound { // 12,000 callers come
		t.Errorf("%d goroutines, want at most %d", goroutines, bound)
	}

	missed := len(waiting) - c.count()
	c.is.Store(false)
	back := time.Now()
	for c.count() < len(waiting) && time.Since(back) < 5*time.Minute {
		pass(10 * time.Millisecond)
	}
	t.Logf("%d answers were left, and delivered in %v; at most %d goroutines", missed, time.Since(back), goroutines)
	if since := time.Since(back); since > 15*time.Second {
		t.Errorf("%d of %d answers are delivered %v after Temporal is back, want all in 15 s", c.count(), len(waiting), since)
	}
	pass(time.Minute)
	stop()
	runs.Wait()
	if c.late > 0 {
		t.Errorf("%d heartbeats in the reachable namespace came too late", c.late)
	}
	if hubs == 1 { // with several hubs, each has its own probes and its own part of the backlog
		wantOldestFirst(t, c.delivered)
	}
}

// wantOldestFirst checks that no answer was delivered long before many older
// answers. The answers of the first seconds each have a backoff of their own.
func wantOldestFirst(t *testing.T, delivered []string) {
	t.Helper()
	var later []string
	for _, id := range delivered {
		if id >= "answer-00600" {
			later = append(later, id)
		}
	}
	sorted := slices.Sorted(slices.Values(later))
	place := make(map[string]int)
	for i, id := range sorted {
		if i > 0 && sorted[i-1] == id {
			t.Errorf("%s was delivered twice", id)
		}
		place[id] = i
	}
	far := 0
	for i, id := range later {
		if d := i - place[id]; d > 500 || d < -500 {
			far++
		}
	}
	if far > len(later)/20 {
		t.Errorf("%d of %d answers were delivered far out of their order", far, len(later))
	}
}
