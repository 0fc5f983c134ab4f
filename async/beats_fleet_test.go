package async_test

import (
	"context"
	"fmt"
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
	"github.com/latchkey-go/latchkey/store"
)

// startAnswered starts n activities, numbered from first, without a heartbeat
// timeout. Their answers wait for delivery.
func (w *world) startAnswered(first, n int) {
	w.t.Helper()
	settler, err := async.New(async.Options{Store: w.store})
	wantNil(w.t, err)
	for i := range n {
		w.startOther(first+i, 0, async.StartOptions{})
	}
	for _, c := range asynctest.Pending(w.t, settler) {
		p, err := async.Open[Decision](w.t.Context(), settler, c.ID())
		wantNil(w.t, err)
		wantNil(w.t, p.Complete(w.t.Context(), Decision{}))
	}
}

// wantKept checks that none of n activities, numbered from first, missed its
// heartbeat timeout between began and now.
func wantKept(t *testing.T, s *server, first, n int, began time.Time, timeout time.Duration) {
	t.Helper()
	last := make(map[string]time.Time)
	for i := range n {
		last[fmt.Sprintf("token-of-%d", first+i)] = began
	}
	late, worst := make(map[string]bool), time.Duration(0)
	gap := func(token string, at time.Time) {
		if d := at.Sub(last[token]); d >= timeout {
			late[token], worst = true, max(worst, d)
		}
		last[token] = at
	}
	for _, b := range s.taken() {
		gap(b.token, b.at)
	}
	for token := range last {
		gap(token, time.Now())
	}
	if len(late) > 0 {
		t.Errorf("%d of %d activities missed their heartbeat timeout of %v, want none; the longest time without a beat was %v", len(late), n, timeout, worst)
	}
}

// hangs is a CompleteFunc that does not return until its caller gives up.
func hangs(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
	<-ctx.Done()
	return ctx.Err()
}

// Heartbeats get enough slots although many answers hang.
func TestHangingAnswersDelayNoBeats(t *testing.T) {
	for _, c := range []struct{ concurrency, answers int }{{4, 50}, {16, 300}, {64, 300}, {64, 3000}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = c.concurrency })
				w.completer.CompleteFunc = hangs
				w.startAnswered(1000, c.answers)
				began := time.Now()
				for n := range 20 {
					w.startOther(n, 30*time.Second, async.StartOptions{})
				}
				runHub(t, w.hub)
				pass(3 * time.Minute)
				wantKept(t, s, 0, 20, began, 30*time.Second)
			})
		})
	}
}

// Answers take at most three of four slots, even if they are urgent.
func TestAnswersTakeThreeSlotsOfFour(t *testing.T) {
	for _, c := range []struct{ concurrency, most int }{{1, 1}, {2, 1}, {4, 3}, {16, 12}} {
		t.Run(fmt.Sprint(c.concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = c.concurrency })
				var mu sync.Mutex
				under, most := 0, 0
				w.completer.CompleteFunc = func(ctx context.Context, tg completer.Target, o completer.Outcome) error {
					mu.Lock()
					under++
					most = max(most, under)
					mu.Unlock()
					err := hangs(ctx, tg, o)
					mu.Lock()
					under--
					mu.Unlock()
					return err
				}
				// The answers are the oldest entries, and there are as many
				// as a hub claims at once.
				w.startAnswered(1000, c.concurrency)
				for n := range c.concurrency {
					w.startOther(n, 30*time.Second, async.StartOptions{})
				}
				for e, err := range w.store.List(t.Context()) {
					wantNil(t, err)
					r, err := async.DecodeRecord(e)
					wantNil(t, err)
					if r.State != record.Waiting {
						continue
					}
					r.NextBeat, r.LastBeat = time.Now().UnixNano(), time.Now().Add(-10*time.Second).UnixNano()
					e, err = async.EncodeRecord(e, r)
					wantNil(t, err)
					e.Due = time.Now()
					_, err = w.store.Put(t.Context(), e)
					wantNil(t, err)
				}
				runHub(t, w.hub)
				pass(2 * time.Second)
				if most != c.most {
					t.Errorf("%d answers were under way at once in %d slots, want %d", most, c.concurrency, c.most)
				}
				if n := len(s.taken()); n < c.concurrency && c.most < c.concurrency {
					t.Errorf("%d of %d beats were sent beside answers that hang, want all", n, c.concurrency)
				}
			})
		})
	}
}

// A delivery that has failed before waits for beats that have little time left.
func TestUrgencyOfAnAnswerTriedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newBeatWorld(t)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		e, r := w.stored()
		for tries, want := range map[int32]time.Duration{0: 0, 1: 30 * time.Second, 50: 30 * time.Second} {
			r.State, r.Delivery = record.Settled, &record.Delivery{Next: time.Now().UnixNano(), Tries: tries}
			r.Outcome = &record.Outcome{Kind: record.Result}
			e, err := async.EncodeRecord(e, r)
			wantNil(t, err)
			if got := time.Until(async.Urgency(e)); got != want {
				t.Errorf("an answer that was tried %d times is to be done within %v, want %v", tries, got, want)
			}
		}
	})
}

// Many slow probes that are due at once are all asked in time.
func TestBurstOfProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 4 }, probing(0, (&prober{answer: func(int) (any, error) {
			time.Sleep(100 * time.Millisecond)
			return nil, nil
		}}).ask))
		const n = 240 // two thirds of the probes that four slots can finish
		began := time.Now()
		for i := range n {
			w.startOther(i, 30*time.Second, async.StartOptions{})
		}
		runHub(t, w.hub)
		pass(2 * time.Minute)
		wantKept(t, s, 0, n, began, 30*time.Second)
	})
}

// Many slow hooks that are due at once are all called as fast as the slots
// allow.
func TestBurstOfHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		w := newWorld(t, func(o *async.Options) {
			o.Concurrency = 1
			o.Hooks.Delivered = func(context.Context, async.Callback) error {
				told.Add(1)
				time.Sleep(50 * time.Millisecond)
				return nil
			}
		})
		w.startAnswered(0, 100)
		runHub(t, w.hub)
		pass(9 * time.Second) // the claim has not expired yet
		if told.Load() != 100 {
			t.Errorf("%d of 100 hooks of 50 ms were told within 9 s, want all", told.Load())
		}
	})
}

// A hub that does not know the pump still calls the hooks.
func TestUnknownPumpHidesNoNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := new(signalHooks)
		w, s := newBeatWorld(t, hooks.set)
		s.signals = completer.Signals{CancelRequested: true}
		w.startNow(1, 30*time.Second, async.StartOptions{Pump: "special"}, func(context.Context, async.Pending[Decision]) error {
			time.Sleep(15 * time.Second) // the worker's beat learns of the signal
			return nil
		})
		runHub(t, w.hub)
		pass(5 * time.Second)
		hooks.want(t, "where the pump isn't known", map[string]int{"cancel": 1})
		if len(s.taken()) != 1 {
			t.Errorf("%d beats, want the worker's only", len(s.taken()))
		}
	})
}

// A hub does not write entries of an unknown pump again and again.
func TestUnknownPumpWritesSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := &watched{Store: store.NewMemory()}
		w, _ := newBeatWorld(t, func(o *async.Options) { o.Store = counted })
		for n := range 100 {
			w.startOther(n, time.Hour, async.StartOptions{Pump: "special"})
		}
		runHub(t, w.hub)
		before := counted.others.Load()
		pass(10 * time.Minute)
		if n := counted.others.Load() - before; n < 100 || n > 100*10*60/9+200 {
			t.Errorf("%d calls of the store in ten minutes for 100 entries with a heartbeat timeout of an hour, want one for each in 9 to 15 s", n)
		}
	})
}

// A hub dies before it sends the first beat of an attempt. Another hub sends
// the beat before the heartbeat timeout, which began with the attempt.
func TestFailOverOfTheFirstBeat(t *testing.T) {
	for range 20 { // each round has its own jitter
		synctest.Test(t, func(t *testing.T) {
			w, s := newBeatWorld(t)
			began := time.Now()
			w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
				time.Sleep(9900 * time.Millisecond)
				return nil
			})
			for {
				time.Sleep(longestPoll)
				claimed, err := w.store.Claim(t.Context(), time.Now(), time.Now().Add(10*time.Second), 1)
				wantNil(t, err)
				if len(claimed) > 0 {
					break // the first hub is gone for good
				}
			}
			runHub(t, w.hub)
			pass(time.Minute)
			if beats := s.taken(); len(beats) == 0 || beats[0].at.Sub(began) >= 30*time.Second {
				t.Errorf("the beats are %v, want the first within 30 s of %v", beats, began)
			}
		})
	}
}

// everyBeat counts all heartbeats, including those that the test's completer
// refuses because the activity has an outcome.
type everyBeat struct {
	*asynctest.Completer
	calls atomic.Int64
}

func (c *everyBeat) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	c.calls.Add(1)
	return c.Completer.Heartbeat(ctx, t, details)
}

func (c *everyBeat) set(o *async.Options) {
	c.Completer, o.Completer = o.Completer.(*asynctest.Completer), c
}

// If the activity is answered while its pump is asked, no beat follows, however
// long the pump takes and whatever it returns.
func TestNoBeatAfterTheAnswer(t *testing.T) {
	for name, says := range map[string]any{"with details": "alive", "without": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				job, beats := &prober{answer: alive}, new(everyBeat)
				w, _ := newBeatWorld(t, probing(5*time.Second, job.ask), beats.set)
				runHub(t, w.hub)
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				for beats.calls.Load() == 0 { // the first step reads the entry in any case
					pass(100 * time.Millisecond)
				}
				job.set(func(int) (any, error) {
					time.Sleep(3 * time.Second)
					return says, nil
				})
				for len(job.times()) < 2 {
					pass(100 * time.Millisecond)
				}
				wantNil(t, p.Complete(t.Context(), Decision{}))
				pass(time.Minute)
				if n := beats.calls.Load(); n != 1 {
					t.Errorf("%d beats after the answer, want none", n-1)
				}
			})
		})
	}
}

// No beat follows if the system that the probe asks answers the activity.
func TestNoBeatAfterTheProbeHasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, beats := &prober{answer: alive}, new(everyBeat)
		w, _ := newBeatWorld(t, probing(5*time.Second, job.ask), beats.set)
		runHub(t, w.hub)
		p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
		for beats.calls.Load() == 0 {
			pass(100 * time.Millisecond)
		}
		job.set(func(int) (any, error) { return "all of it", p.Complete(t.Context(), Decision{}) })
		pass(time.Minute)
		w.wantSent(1)
		if n := beats.calls.Load(); n != 1 {
			t.Errorf("%d beats after the answer, want none", n-1)
		}
	})
}

// No beat is sent if another hub learned during the probe that the attempt is
// over.
func TestNoBeatForAnAttemptThatAnotherHubLost(t *testing.T) {
	for name, says := range map[string]any{"with details": "alive", "without": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				job, beats := &prober{answer: alive}, new(everyBeat)
				w, _ := newBeatWorld(t, probing(5*time.Second, job.ask), beats.set)
				runHub(t, w.hub)
				w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				for beats.calls.Load() == 0 {
					pass(100 * time.Millisecond)
				}
				job.set(func(int) (any, error) {
					w.change(func(r *record.Record) { r.TokenLostStarted = r.Started })
					time.Sleep(3 * time.Second)
					return says, nil
				})
				pass(time.Minute)
				if n := beats.calls.Load(); n != 1 {
					t.Errorf("%d beats after the attempt was known to be over, want none", n-1)
				}
			})
		})
	}
}

// If the clocks of the worker and of Temporal differ, the first beat is due by
// the slower clock, and the log says that the clocks differ.
func TestFirstBeatByTheSlowerClock(t *testing.T) {
	const warning = "clock is far from Temporal's"
	for ahead, warned := range map[time.Duration]bool{
		time.Minute: true, -time.Minute: true, 5 * time.Second: false, -5 * time.Second: false,
	} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := newBeatWorld(t)
				info := attemptNow(1, 30*time.Second)
				slower := time.Now()
				if ahead > 0 {
					slower = slower.Add(-ahead)
				}
				info.StartedTime = info.StartedTime.Add(-ahead)
				_ = async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
				e, r := w.stored()
				if due := e.Due.Sub(slower); due > 10*time.Second || r.LastBeat != slower.UnixNano() {
					t.Errorf("the worker's clock is %v ahead, and the first beat is due %v after the attempt began by the slower clock, want at most 10 s", ahead, due)
				}
				if strings.Contains(w.logs.String(), warning) != warned {
					t.Errorf("the worker's clock is %v ahead: logged that it is far from Temporal's is %t, want %t", ahead, !warned, warned)
				}
			})
		})
	}
}

// The process that schedules the beats keeps heartbeat timeouts as short as a
// poll interval.
func TestShortHeartbeatTimeouts(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				began := time.Now()
				w.startOther(0, timeout, async.StartOptions{})
				runHub(t, w.hub)
				pass(2 * time.Minute)
				wantKept(t, s, 0, 1, began, timeout)
			})
		})
	}
}
