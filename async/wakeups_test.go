package async_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// signaling is a store that counts its calls, and the entries that claims
// return. The signals of the store can fail or get lost.
type signaling struct {
	store.Store
	calls, claims, entries atomic.Int64 // calls includes claims

	mu      sync.Mutex
	fail    error
	lose    bool
	hang    bool
	watches int
}

func (s *signaling) Get(ctx context.Context, id string) (store.Entry, error) {
	s.calls.Add(1)
	return s.Store.Get(ctx, id)
}

func (s *signaling) Put(ctx context.Context, e store.Entry) (uint64, error) {
	s.calls.Add(1)
	return s.Store.Put(ctx, e)
}

func (s *signaling) Delete(ctx context.Context, id string, version uint64) error {
	s.calls.Add(1)
	return s.Store.Delete(ctx, id, version)
}

func (s *signaling) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	s.calls.Add(1)
	return s.Store.List(ctx)
}

func (s *signaling) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	s.calls.Add(1)
	return s.Store.(store.Pager).Page(ctx, after, n)
}

func (s *signaling) Count(ctx context.Context) (int, error) {
	s.calls.Add(1)
	return s.Store.(store.Counter).Count(ctx)
}

func (s *signaling) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	s.calls.Add(1)
	s.claims.Add(1)
	claimed, err := s.Store.Claim(ctx, now, until, n)
	s.entries.Add(int64(len(claimed)))
	return claimed, err
}

func (s *signaling) Watch(ctx context.Context) (<-chan struct{}, error) {
	s.calls.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches++
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	switch {
	case s.fail != nil:
		return nil, s.fail
	case s.lose:
		return make(chan struct{}), nil
	}
	return s.Store.(store.Notifier).Watch(ctx)
}

func (s *signaling) set(f func(s *signaling)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// newWatchWorld returns a world with a running hub and a hub that only settles.
func newWatchWorld(t *testing.T, change func(s *signaling)) (w *world, s *signaling, settler *async.Hub) {
	t.Helper()
	s = &signaling{Store: store.NewMemory()}
	if change != nil {
		change(s)
	}
	w, _ = newBeatWorld(t, func(o *async.Options) { o.Store = s })
	settler, err := async.New(async.Options{Store: s.Store})
	wantNil(t, err)
	runHub(t, w.hub)
	return w, s, settler
}

// waiting starts another activity and returns its callback ID.
func (w *world) waiting(n int) (id string) {
	w.t.Helper()
	info := attemptNow(1, 0)
	info.ActivityID, info.TaskToken = fmt.Sprint(n), fmt.Appendf(nil, "token-of-%d", n)
	err := async.StartAttempt(w.t.Context(), w.hub, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
		id = p.ID()
		return nil
	})
	if err != activity.ErrResultPending {
		w.t.Fatalf("Start of activity %d returned %v", n, err)
	}
	return id
}

func settle(t *testing.T, h *async.Hub, id string) {
	t.Helper()
	p, err := async.Open[Decision](t.Context(), h, id)
	wantNil(t, err)
	wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
}

// If another process settles an answer, Run sends the answer within 50 ms, even
// after a long idle time.
func TestSignalsWakeAnIdleHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, settler := newWatchWorld(t, nil)
		for n, idle := range []time.Duration{time.Second, 5 * time.Minute, time.Hour} {
			id := w.waiting(n)
			pass(idle)
			settle(t, settler, id)
			pass(50 * time.Millisecond)
			w.wantSent(n + 1)
		}
	})
}

// A busy Run sends answers as fast as an idle Run, and claims at most once in
// 10 ms.
func TestSignalsOfManyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, settler := newWatchWorld(t, nil)
		var ids []string
		for n := range 200 {
			ids = append(ids, w.waiting(n))
		}
		pass(5 * time.Minute)
		before := s.claims.Load()
		for n, id := range ids {
			settle(t, settler, id)
			pass(7 * time.Millisecond)
			if sent, settled := len(w.completer.Completed()), n+1; settled-sent > 10 {
				t.Fatalf("%d of %d answers are delivered, want all but those of the last 65 ms", sent, settled)
			}
		}
		pass(65 * time.Millisecond)
		w.wantSent(200)
		if n := s.claims.Load() - before; n > 160 {
			t.Errorf("%d claims in 1.4 s, want no more than one each 10 ms", n)
		}
	})
}

// An idle hub makes fewer store calls if the store sends signals. The test
// counts all calls; docs/performance.md has the rates.
func TestIdleHubsPollLess(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(s *signaling)
		least, most int64 // calls in ten minutes
		watches     int64 // of these
	}{
		"signals":     {nil, 50, 75, 0},
		"unsupported": {func(s *signaling) { s.fail = fmt.Errorf("%w: not here", errors.ErrUnsupported) }, 550, 700, 0},
		"failing":     {func(s *signaling) { s.fail = errors.New("no rights") }, 550, 700, 60},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s, _ := newWatchWorld(t, c.change)
				w.waiting(1)
				pass(2 * time.Minute)
				calls, claims := s.calls.Load(), s.claims.Load()
				pass(10 * time.Minute)
				calls, claims = s.calls.Load()-calls, s.claims.Load()-claims
				t.Logf("an idle hub makes %.1f store calls a minute, %.1f of them claims", float64(calls)/10, float64(claims)/10)
				if calls < c.least || calls > c.most+c.watches {
					t.Errorf("an idle hub made %d store calls in ten minutes, want %d to %d", calls, c.least, c.most+c.watches)
				}
				if other := calls - claims; other > c.watches {
					t.Errorf("an idle hub made %d store calls in ten minutes that are no claims, want at most %d", other, c.watches)
				}
			})
		})
	}
}

// A lost signal only costs the time until the next poll.
func TestLostSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, settler := newWatchWorld(t, func(s *signaling) { s.lose = true })
		id := w.waiting(1)
		pass(time.Hour)
		settle(t, settler, id)
		pass(longestIdlePoll)
		w.wantSent(1)
	})
}

// A hub that cannot watch its store polls every PollInterval, and watches the
// store again when it can.
func TestWatchingThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, settler := newWatchWorld(t, func(s *signaling) { s.fail = errors.New("no connection") })
		id := w.waiting(1)
		pass(5 * time.Minute)
		settle(t, settler, id)
		pass(longestPoll)
		w.wantSent(1)

		id = w.waiting(2)
		s.set(func(s *signaling) { s.fail = nil })
		pass(5 * time.Minute)
		settle(t, settler, id)
		pass(50 * time.Millisecond)
		w.wantSent(2)
		s.set(func(s *signaling) {
			if s.watches > 32 {
				t.Errorf("Watch was called %d times in five minutes, want once every 10 s", s.watches)
			}
		})
	})
}

// A hub whose Watch hangs polls every PollInterval, and Run ends when its
// context ends.
func TestWatchingThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, settler := newWatchWorld(t, func(s *signaling) { s.hang = true })
		id := w.waiting(1)
		pass(5 * time.Minute)
		settle(t, settler, id)
		pass(longestPoll)
		w.wantSent(1)
		s.set(func(s *signaling) {
			if s.watches != 1 {
				t.Errorf("Watch was called %d times while its first call hangs, want once", s.watches)
			}
		})
	})
}

// A heartbeat that another process has scheduled some seconds ahead is in time,
// although no signal comes at that moment.
func TestDueSoonIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newWatchWorld(t, nil)
		worker, err := async.New(async.Options{Store: w.store.(*signaling).Store, Completer: w.completer}) // doesn't run
		wantNil(t, err)
		pass(5 * time.Minute)
		var beats []time.Time
		w.completer.HeartbeatFunc = func(_ context.Context, _ completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
			beats = append(beats, time.Now())
			return completer.Signals{}, nil
		}
		w.hub = worker
		began := time.Now()
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(time.Minute)
		for _, at := range beats {
			if gap := at.Sub(began); gap > 10*time.Second+longestPoll {
				t.Errorf("a beat came after %v, want it within 10 s and a poll", gap)
			}
			began = at
		}
		if len(beats) < 5 {
			t.Errorf("%d beats in a minute, want one every 10 s at least", len(beats))
		}
	})
}
