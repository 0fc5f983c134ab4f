package async_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// Work calls all due hooks, even with few slots.
func TestWorkCallsAllHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		w := newWorld(t, func(o *async.Options) {
			o.Concurrency = 1
			o.Hooks.Delivered = func(context.Context, async.Callback) error {
				told.Add(1)
				time.Sleep(50 * time.Millisecond) // the calls together take longer than a running hub would wait
				return nil
			}
		})
		w.startAnswered(0, 110)
		n, err := w.hub.Work(t.Context())
		if wantNil(t, err); n != 110 || told.Load() != 110 {
			t.Errorf("Work did %d entries and told %d hooks, want 110 of both", n, told.Load())
		}
	})
}

// Work sends all due beats, even with few slots.
func TestWorkBeatsForAll(t *testing.T) {
	for name, pump := range map[string]func(*async.Options){
		"KeepAlive": func(*async.Options) {},
		"a probe that takes 50 ms": probing(0, (&prober{answer: func(int) (any, error) {
			time.Sleep(50 * time.Millisecond)
			return nil, nil
		}}).ask),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 1 }, pump)
				for n := range 128 {
					w.startOther(n, 30*time.Second, async.StartOptions{})
				}
				pass(11 * time.Second)
				n, err := w.hub.Work(t.Context())
				if wantNil(t, err); n != 128 || len(s.taken()) != 128 {
					t.Errorf("Work did %d entries with %d beats, want 128 of both", n, len(s.taken()))
				}
			})
		})
	}
}

// inHand is a store that counts the entries that a hub has claimed and not
// finished, and the hub's goroutines.
type inHand struct {
	store.Store
	claimed, done  atomic.Int64
	most, routines atomic.Int64
	before         int           // goroutines
	takes          time.Duration // duration of a slowCall
}

func (s *inHand) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	es, err := s.Store.Claim(ctx, now, until, n)
	s.claimed.Add(int64(len(es)))
	return es, err
}

// slowCall is application code that takes the time s.takes for an entry.
func (s *inHand) slowCall() {
	time.Sleep(s.takes)
	s.most.Store(max(s.most.Load(), s.claimed.Load()-s.done.Load()))
	s.routines.Store(max(s.routines.Load(), int64(runtime.NumGoroutine()-s.before)))
	s.done.Add(1)
}

// newInHand creates a world with n due entries and a hub with three slots. Each
// entry needs a call of application code that takes the given time.
func newInHand(t *testing.T, kind string, n int, takes time.Duration) (*world, *inHand) {
	t.Helper()
	s := &inHand{Store: store.NewMemory(), takes: takes}
	w, _ := newBeatWorld(t, func(o *async.Options) {
		o.Store, o.Concurrency = s, 3
		o.Hooks.Delivered = func(context.Context, async.Callback) error { s.slowCall(); return nil }
		o.Pumps = map[string]heartbeat.Pump{"": heartbeat.Probe(func(context.Context, heartbeat.Activity) (any, error) {
			s.slowCall()
			return nil, nil
		}, heartbeat.ProbeOptions{})}
	})
	if kind == "hooks" {
		w.startAnswered(0, n)
	} else {
		for i := range n {
			w.startOther(i, 30*time.Minute, async.StartOptions{})
		}
		pass(time.Minute)
	}
	s.before = runtime.NumGoroutine()
	return w, s
}

// If many entries are due, Work claims only the number that it can finish soon.
func TestWorkClaimsWhatItCanDo(t *testing.T) {
	for _, kind := range []string{"hooks", "pumps"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const due = 2000
				w, s := newInHand(t, kind, due, 100*time.Millisecond)
				n, err := w.hub.Work(t.Context())
				if wantNil(t, err); n != due || s.done.Load() != due {
					t.Errorf("Work did %d entries with %d calls, want %d of both", n, s.done.Load(), due)
				}
				if most := s.most.Load(); most > 5*3 {
					t.Errorf("%d entries were claimed at once that weren't done, with three slots", most)
				}
				if most := s.routines.Load(); most > due/10 { // goroutines that end are counted for a while
					t.Errorf("%d goroutines were there for three slots", most)
				}
			})
		})
	}
}

// Work returns soon after its context ends, and entries that it has not begun
// are due again soon.
func TestWorkIsStopped(t *testing.T) {
	for _, kind := range []string{"hooks", "pumps"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const due, stopped = 1000, 90300 * time.Millisecond // the context ends in the middle of calls
				w, s := newInHand(t, kind, due, 900*time.Millisecond)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(stopped, func() { cancel(errStopped) })
				began := time.Now()
				_, err := w.hub.Work(ctx)
				if took := time.Since(began) - stopped; !errors.Is(err, errStopped) || took > time.Second {
					t.Errorf("Work returned %v, %v after its context had ended, want its cause, and no more than the 900 ms that a call takes", err, took)
				}
				if n := s.done.Load(); n < 200 || n > 310 {
					t.Errorf("%d of %d are done after %v, want about 300", n, due, stopped)
				}
				late := 0
				for e, err := range w.store.List(t.Context()) {
					wantNil(t, err)
					r, err := async.DecodeRecord(e)
					wantNil(t, err)
					left := r.State != record.Closed || len(r.Notices) > 0
					if kind == "pumps" {
						left = time.Unix(0, r.LastBeat).Before(began)
					}
					if left && time.Until(e.Due) > 2*time.Second {
						late++
					}
				}
				if late != 0 {
					t.Errorf("%d entries are due more than 2 s after Work was stopped, want those that it had not begun back at once", late)
				}
				pass(2 * time.Second)
				wantNil(t, func() error { _, err := w.hub.Work(t.Context()); return err }())
				if n := s.done.Load(); kind == "hooks" && n != due || n < due { // some entries may have become due for another beat
					t.Errorf("%d calls in all for %d entries, want one for each", n, due)
				}
			})
		})
	}
}
