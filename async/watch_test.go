package async_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

func TestOptionsOfTheWatchAndTheStoreWait(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *async.Options)
		want   string // "": allowed
	}{
		"watch, default":      {func(o *async.Options) {}, ""},
		"watch, off":          {func(o *async.Options) { o.WatchInterval = -1 }, ""},
		"watch, shortest":     {func(o *async.Options) { o.WatchInterval = time.Second }, ""},
		"watch, too short":    {func(o *async.Options) { o.WatchInterval = time.Second - 1 }, "WatchInterval must be between 1s and 8760h0m0s, or negative"},
		"watch, too long":     {func(o *async.Options) { o.WatchInterval = 8760*time.Hour + 1 }, "got 8760h0m0.000000001s"},
		"store wait, none":    {func(o *async.Options) { o.StoreWait = -1 }, ""},
		"store wait, longest": {func(o *async.Options) { o.StoreWait = time.Hour }, ""},
		"store wait, longer":  {func(o *async.Options) { o.StoreWait = time.Hour + 1 }, "StoreWait must be at most 1h0m0s, or negative"},
	} {
		t.Run(name, func(t *testing.T) {
			o := async.Options{Store: store.NewMemory()}
			c.change(&o)
			_, err := async.New(o)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("New returned %v, want %q", err, c.want)
			}
		})
	}
}

// A hub notices the end of a workflow within the interval, although its
// activity neither heartbeats nor has a deadline soon.
func TestWatchNoticesTheEnd(t *testing.T) {
	const idle = 10 * time.Second // how often a hub polls a store that has sent no signal for a while
	for name, c := range map[string]struct {
		interval time.Duration
		started  func(w *world)
		within   time.Duration // 0: not noticed
	}{
		"by default": {0, func(w *world) { w.startNow(1, 0, async.StartOptions{}, nil) }, time.Hour},
		"soon":       {time.Minute, func(w *world) { w.startNow(1, 0, async.StartOptions{}, nil) }, time.Minute},
		"off":        {-1, func(w *world) { w.startNow(1, 0, async.StartOptions{}, nil) }, 0},
		"its token is lost": {time.Minute, func(w *world) {
			w.startNow(1, time.Hour, async.StartOptions{}, nil)
			w.change(func(r *record.Record) {
				r.TokenLostStarted, r.NextBeat, r.NextQuestion = r.Started, 0, time.Now().Add(time.Minute).UnixNano()
			})
			e, _ := w.stored()
			e.Due = time.Now().Add(time.Minute)
			_, err := w.store.Put(w.t.Context(), e)
			wantNil(w.t, err)
		}, time.Minute},
		"a worker died before it had asked": {time.Minute, func(w *world) {
			func() {
				defer func() { _ = recover() }()
				ctx, cancel := context.WithCancel(w.t.Context())
				_ = async.StartAttempt(ctx, w.hub, attemptNow(1, 0), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
					cancel()
					panic("killed")
				})
			}()
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var over time.Time
				w, s := newBeatWorld(t, func(o *async.Options) {
					o.WatchInterval = c.interval
					o.Hooks.Over = func(context.Context, async.Callback, error) error {
						over = time.Now()
						return nil
					}
				})
				runHub(t, w.hub)
				c.started(w)
				pass(10 * time.Second)
				ended := time.Now()
				s.set(func(s *server) {
					s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndOther} }
				})
				pass(3 * time.Hour)
				took := over.Sub(ended)
				switch {
				case c.within == 0 && !over.IsZero():
					t.Errorf("the end is noticed after %v, want never: the watch is off", took)
				case c.within > 0 && (over.IsZero() || took > c.within+idle+longestPoll):
					t.Errorf("the end is noticed after %v, want within %v", took, c.within)
				}
			})
		})
	}
}

// Hubs do not ask about an activity that heartbeats. They ask about a waiting
// activity once per interval.
func TestWatchAsksOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(time.Minute)
		looks := s.looked()
		pass(5 * time.Hour)
		if n := s.looked() - looks; n != 0 {
			t.Errorf("%d questions about an activity that beats, want none", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		info := attemptNow(1, 0)
		info.Deadline = time.Now().Add(24 * time.Hour)
		err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
		if err != activity.ErrResultPending {
			t.Fatalf("Start returned %v", err)
		}
		s.set(func(s *server) { s.lookErr = errAway })
		pass(90 * time.Minute) // a question that fails is retried
		failed := s.looked()
		if failed < 5 {
			t.Errorf("%d questions while Temporal is away, want those to be repeated", failed)
		}
		s.set(func(s *server) { s.lookErr = nil })
		pass(2 * time.Hour)
		looks := s.looked()
		pass(10 * time.Hour)
		if n := s.looked() - looks; n != 10 {
			t.Errorf("%d questions in ten hours, want one an hour", n)
		}
		pass(10 * time.Hour)
		looks = s.looked()
		pass(2 * time.Hour) // beyond the deadline
		if n := s.looked() - looks; n < 5 {
			t.Errorf("%d questions after the deadline, want those to be repeated soon", n)
		}
	})
}

// 10,000 waiting activities of 10,000 runs cost 10,000 questions an hour,
// spread evenly. 1,000,000 activities cost a hundred times as many.
func TestWatchAtScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const activities = 10_000
		var mu sync.Mutex
		minutes := make(map[int]int)
		begin := time.Now()
		w := newWorld(t, func(o *async.Options) { o.Logger = nil })
		w.completer.DescribeFunc = func(_ context.Context, t completer.Target, _ string) (completer.Status, error) {
			mu.Lock()
			defer mu.Unlock()
			minutes[int(time.Since(begin)/time.Minute)]++
			return completer.Status{Pending: true, Running: true, Started: t.Started}, nil
		}
		info := attemptNow(1, 0)
		for n := range activities {
			info.WorkflowExecution.RunID, info.TaskToken = fmt.Sprint("run-", n), fmt.Appendf(nil, "token-of-%d", n)
			err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
			if err != activity.ErrResultPending {
				t.Fatalf("Start of activity %d returned %v", n, err)
			}
		}
		runHub(t, w.hub)
		pass(2*time.Hour + time.Second)
		mu.Lock()
		defer mu.Unlock()
		sum, most := 0, 0
		for _, n := range minutes {
			sum, most = sum+n, max(most, n)
		}
		if sum < activities*199/100 || sum > activities*201/100 || most > 300*60/100*13/10 {
			t.Errorf("%d questions in two hours, at most %d in a minute, want %d, and at most 234", sum, most, 2*activities)
		}
	})
}
