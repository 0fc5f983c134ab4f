package async_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// A hub that does not know a pump leaves the entry to a hub that does, and logs
// an error.
func TestUnknownPump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{Pump: "special"}, nil)
		pass(20 * time.Second)
		if s.made() != 0 {
			t.Errorf("%d beats by a hub that doesn't know the pump, want none", s.made())
		}
		if n := strings.Count(w.logs.String(), `level=ERROR msg="async: this hub does not know the pump`); n < 1 || n > 3 || !strings.Contains(w.logs.String(), "pump=special") {
			t.Errorf("the log says %d times in 20 s that the pump isn't known, want it once in 10 s, with its name", n)
		}
		other, err := async.New(async.Options{
			Store: w.store, Completer: w.completer,
			Pumps: map[string]heartbeat.Pump{"special": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})},
		})
		wantNil(t, err)
		runHub(t, other)
		pass(10 * time.Minute)
		last := time.Time{}
		for i, b := range s.taken() {
			if i > 0 && b.at.Sub(last) > 25*time.Second {
				t.Errorf("beat %d comes %v after the one before, although the other hub knows the pump", i, b.at.Sub(last))
			}
			last = b.at
		}
		if time.Since(last) > 25*time.Second {
			t.Errorf("the last beat was %v ago", time.Since(last))
		}
	})
}

// A panic of Next does not affect other activities.
func TestNextPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) {
			o.Pumps = map[string]heartbeat.Pump{"broken": pumpFunc{next: func(heartbeat.Activity) time.Time { panic("boom") }}}
		})
		runHub(t, w.hub)
		w.startOther(1, 30*time.Second, async.StartOptions{Pump: "broken"})
		w.startOther(2, 30*time.Second, async.StartOptions{})
		pass(25 * time.Second)
		if n := len(s.taken()); n != 2 {
			t.Errorf("%d beats, want the two of the other activity", n)
		}
		if n := strings.Count(w.logs.String(), "a pump's Next panicked"); n < 1 || n > 3 {
			t.Errorf("%d times it is logged in 25 s that Next panicked, want it at Start, and not again and again", n)
		}
	})
}

// A hub dies while it holds entries. Another hub takes over before the
// heartbeat timeout, which is three claim times.
func TestFailOver(t *testing.T) {
	for name, dies := range map[string]func(s *watched, c *deadCompleter){
		"it hangs":                func(s *watched, c *deadCompleter) { c.hangs.Store(true); s.gone.Store(true) },
		"it stops in the middle":  func(s *watched, c *deadCompleter) { s.gone.Store(true); c.fails.Store(true) },
		"its store is gone first": func(s *watched, _ *deadCompleter) { s.gone.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(server)
				shared := store.NewMemory()
				dying := &watched{Store: shared}
				dead := &deadCompleter{Completer: asynctest.Completer{HeartbeatFunc: s.heartbeat, DescribeFunc: s.look}}
				w, _ := newBeatWorld(t, func(o *async.Options) { o.Store, o.Completer = dying, dead })
				for n := range 50 {
					w.startOther(n, 30*time.Second, async.StartOptions{})
				}
				runHub(t, w.hub)
				pass(9500 * time.Millisecond) // while beats are being sent
				if n := len(s.taken()); n == 0 {
					t.Fatal("no beats before the hub dies")
				}
				dies(dying, dead)
				other, err := async.New(async.Options{Store: shared, Completer: &asynctest.Completer{HeartbeatFunc: s.heartbeat, DescribeFunc: s.look}})
				wantNil(t, err)
				runHub(t, other)
				began := time.Now()
				pass(2 * time.Minute)
				last := make(map[string]time.Time)
				for _, b := range s.taken() {
					before, ok := last[b.token]
					if !ok {
						before = began.Add(-9500 * time.Millisecond)
					}
					if gap := b.at.Sub(before); gap >= 30*time.Second {
						t.Errorf("%s: no beat for %v, with a heartbeat timeout of 30 s", b.token, gap)
					}
					last[b.token] = b.at
				}
				if len(last) != 50 {
					t.Errorf("%d activities were kept alive, want 50", len(last))
				}
			})
		})
	}
}

// deadCompleter is a completer whose process may have died.
type deadCompleter struct {
	asynctest.Completer
	hangs, fails atomic.Bool
}

func (c *deadCompleter) dead(ctx context.Context) error {
	if c.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if c.fails.Load() {
		return errGone
	}
	return nil
}

func (c *deadCompleter) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	if err := c.dead(ctx); err != nil {
		return completer.Signals{}, err
	}
	return c.Completer.Heartbeat(ctx, t, details)
}

func (c *deadCompleter) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	if err := c.dead(ctx); err != nil {
		return completer.Status{}, err
	}
	return c.Completer.Describe(ctx, t, mark)
}

// When a hub is stopped, it finishes its running calls, and releases at once
// the entries that it has claimed and not begun.
func TestStopDuringCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 4 })
		for n := range 30 {
			w.startOther(n, 30*time.Second, async.StartOptions{})
		}
		s.slow = 900 * time.Millisecond // slower calls would open the breaker
		stop := runHub(t, w.hub)
		pass(12 * time.Second) // all are due
		under, began := len(s.taken()), time.Now()
		stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Run took %v to stop, want no more than a claim time: calls take 0.9 s", took)
		}
		synctest.Wait()
		if n := len(s.taken()) - under; n > 12 {
			t.Errorf("%d beats after Run was stopped, want those of which the pump had been asked, and not all of 30", n)
		}
		held := 0
		for e, err := range w.store.List(t.Context()) {
			wantNil(t, err)
			r, err := async.DecodeRecord(e)
			wantNil(t, err)
			if e.Due.UnixMilli() != r.NextBeat/1e6 {
				held++
			}
		}
		if held != 0 {
			t.Errorf("%d entries are still claimed by a hub that has stopped, want them given back", held)
		}
	})
}

// A call that hangs delays the end of Run by at most its claim.
func TestStopWhileCallsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &deadCompleter{}
		w, _ := newBeatWorld(t, func(o *async.Options) { o.Completer = dead })
		for n := range 200 {
			w.startOther(n, 30*time.Second, async.StartOptions{})
		}
		dead.hangs.Store(true)
		stop := runHub(t, w.hub)
		pass(11 * time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Run took %v to stop while calls hang, want a claim time at most", took)
		}
	})
}

// Claimed entries are handled in the order of their timeouts, and not in the
// order of the claims.
func TestNearestDeadlineFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 1 })
		var deadlines []time.Time
		for i := range 101 {
			deadlines = append(deadlines, time.Now().Add(time.Duration(i*37%101)*time.Second))
		}
		order := async.PoolOrder(t.Context(), w.hub, deadlines)
		if len(order) != len(deadlines) {
			t.Fatalf("%d of %d were done", len(order), len(deadlines))
		}
		if !slices.IsSortedFunc(order, time.Time.Compare) {
			t.Errorf("they were done in the order %v, want the nearest deadline first", order)
		}
	})
}

// An answer goes before the beats that are due with it. Calls that no caller
// and no timeout waits for go after answers and due beats.
func TestUrgency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newBeatWorld(t)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		urgency := func(change func(r *record.Record)) time.Duration {
			e, r := w.stored()
			change(r)
			e, err := async.EncodeRecord(e, r)
			wantNil(t, err)
			return time.Until(async.Urgency(e))
		}
		now := time.Now().UnixNano()
		for _, c := range []struct {
			name   string
			want   time.Duration
			change func(r *record.Record)
		}{
			{"a beat", 30 * time.Second, func(*record.Record) {}},
			{"a beat that is late", 10 * time.Second, func(r *record.Record) { r.LastBeat -= int64(20 * time.Second) }},
			{"the slow watch", time.Minute, func(r *record.Record) { r.HeartbeatTimeout, r.NextBeat = 0, now }},
			{"an attempt that is lost", time.Minute, func(r *record.Record) { r.TokenLostStarted = r.Started }},
			{"an answer", 0, func(r *record.Record) {
				r.State, r.Outcome, r.Delivery = record.Settled, &record.Outcome{Kind: record.Result}, &record.Delivery{Next: now}
			}},
			{"a removal", time.Minute, func(r *record.Record) { r.State, r.End, r.Ended = record.Closed, record.EndOther, now }},
			{"a newer release's", time.Minute, func(r *record.Record) { r.State = 77 }},
		} {
			if got := urgency(c.change); got != c.want {
				t.Errorf("%s is to be done within %v, want %v", c.name, got, c.want)
			}
		}
	})
}

// An idle hub makes few calls to its store, and notices a due entry within a
// poll interval.
func TestIdleHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := &watched{Store: store.NewMemory()}
		w, s := newBeatWorld(t, func(o *async.Options) { o.Store = idle })
		runHub(t, w.hub)
		for n := range 100 {
			w.startOther(n, 0, async.StartOptions{})
		}
		pass(time.Second)
		claims, others := idle.claims.Load(), idle.others.Load()
		pass(time.Hour)
		claims, others = idle.claims.Load()-claims, idle.others.Load()-others
		if claims > 3600*5/4 || claims < 3600*3/4 || others != 100 {
			t.Errorf("%d claims and %d other calls of the store in an idle hour, want one claim a second, and one for each activity that is looked after", claims, others)
		}
		for range 20 {
			e, r := w.stored()
			r.NextBeat, r.LastBeat, r.HeartbeatTimeout = time.Now().UnixNano(), time.Now().Add(-time.Hour).UnixNano(), int64(time.Hour)
			e, err := async.EncodeRecord(e, r)
			wantNil(t, err)
			e.Due = time.Now()
			_, err = idle.Store.Put(t.Context(), e) // by another process
			wantNil(t, err)
			before, began := len(s.taken()), time.Now()
			pass(longestPoll)
			if beats := s.taken(); len(beats) != before+1 || beats[before].at.Sub(began) > longestPoll {
				t.Fatalf("%d beats within a poll interval of an entry that has become due, want one", len(beats)-before)
			}
			pass(100 * time.Millisecond)
		}
	})
}

// The number of goroutines does not depend on the number of activities.
func TestNoGoroutinePerActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		before := runtime.NumGoroutine()
		runHub(t, w.hub)
		for n := range 10_000 {
			w.startOther(n, 10*time.Minute, async.StartOptions{})
		}
		most := 0
		for range 90 {
			pass(time.Second)
			most = max(most, runtime.NumGoroutine()-before)
		}
		if most > 64*4 {
			t.Errorf("%d goroutines more for 10,000 activities that wait, want at most a few for each of 64 calls", most)
		}
		if n := len(s.taken()); n < 10_000 {
			t.Errorf("%d beats for 10,000 activities in a minute and a half, want one for each at least", n)
		}
	})
}

// Calls of Run start and stop at any time, and leave no goroutines behind.
func TestStartStopStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		for n := range 100 {
			w.startOther(n, 10*time.Second, async.StartOptions{})
		}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				for j := range 50 {
					ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration((i*50+j)%7)*100*time.Millisecond, errStopped)
					if err := w.hub.Run(ctx); !errors.Is(err, errStopped) {
						t.Errorf("Run returned %v, want why it was stopped", err)
					}
					cancel()
				}
			})
		}
		wg.Wait() // a goroutine that remains would fail the bubble
		if len(s.taken()) < 100 {
			t.Errorf("%d beats, want one for each of 100 activities at least", len(s.taken()))
		}
	})
}

// Work sends one beat for each due entry, and returns.
func TestWorkBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		for n := range 200 {
			w.startOther(n, 30*time.Second, async.StartOptions{})
		}
		n, err := w.hub.Work(t.Context())
		if wantNil(t, err); n != 0 || s.made() != 0 {
			t.Errorf("Work did %d entries with %d beats, and nothing is due", n, s.made())
		}
		pass(11 * time.Second)
		n, err = w.hub.Work(t.Context())
		if wantNil(t, err); n != 200 || len(s.taken()) != 200 {
			t.Errorf("Work did %d entries with %d beats, want 200", n, len(s.taken()))
		}
	})
}
