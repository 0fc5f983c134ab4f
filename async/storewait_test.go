package async_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// storeOutage is a store that can be unreachable: its calls fail or hang.
type storeOutage struct {
	store.Store
	until atomic.Int64 // Unix nanoseconds
	hangs bool
	calls atomic.Int64
}

func (o *storeOutage) away(d time.Duration) { o.until.Store(time.Now().Add(d).UnixNano()) }

func (o *storeOutage) check(ctx context.Context, op string) error {
	o.calls.Add(1)
	if time.Now().UnixNano() >= o.until.Load() {
		return nil
	}
	if o.hangs {
		<-ctx.Done()
		return &store.Error{Op: op, Backend: "test", Err: ctx.Err()}
	}
	return &store.Error{Op: op, Backend: "test", Err: errors.New("connection refused")}
}

func (o *storeOutage) Get(ctx context.Context, id string) (store.Entry, error) {
	if err := o.check(ctx, "get"); err != nil {
		return store.Entry{}, err
	}
	return o.Store.Get(ctx, id)
}

func (o *storeOutage) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if err := o.check(ctx, "put"); err != nil {
		return 0, err
	}
	return o.Store.Put(ctx, e)
}

func newOutage(t *testing.T, change ...func(*async.Options)) (*world, *server, *storeOutage) {
	o := &storeOutage{Store: store.NewMemory()}
	w, s := newBeatWorld(t, append(change, func(options *async.Options) { options.Store = o })...)
	return w, s, o
}

// startLasting runs an attempt with the given time limit and heartbeat timeout.
// startLasting returns the error of Start and its duration.
func startLasting(w *world, lasts, beats time.Duration, ask func()) (time.Duration, error) {
	info := attemptNow(1, beats)
	info.Deadline = info.StartedTime.Add(lasts)
	begin := time.Now()
	err := async.StartAttempt(w.t.Context(), w.hub, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
		if ask != nil {
			ask()
		}
		return nil
	})
	return time.Since(begin), err
}

// A store that is unreachable for less than StoreWait costs no attempt, whether
// its calls fail or hang.
func TestStartWaitsForTheStore(t *testing.T) {
	for name, hangs := range map[string]bool{"fails": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _, o := newOutage(t)
				o.hangs = hangs
				o.away(20 * time.Second)
				asked := false
				took, err := startLasting(w, time.Hour, 0, func() { asked = true })
				if err != activity.ErrResultPending || !asked || took < 20*time.Second || took > 26*time.Second {
					t.Errorf("Start returned %v after %v, asked: %v, want activity.ErrResultPending soon after 20 s", err, took, asked)
				}
				if r := w.record(); r.HandedOffStarted != r.Started {
					t.Error("the hand-off isn't recorded")
				}
			})
		})
	}
}

// A store that is unreachable for longer fails the attempt with an error that
// names the store. The attempt fails within half of its remaining time.
func TestStartGivesTheStoreUp(t *testing.T) {
	for name, c := range map[string]struct {
		wait, lasts, most time.Duration
		calls             int64 // 0: several
	}{
		"after StoreWait":       {0, time.Hour, 30 * time.Second, 0},
		"after half the time":   {0, 10 * time.Second, 5 * time.Second, 0},
		"after a longer wait":   {10 * time.Minute, time.Hour, 10 * time.Minute, 0},
		"at once":               {-1, time.Hour, 0, 1},
		"its deadline has gone": {0, -time.Second, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _, o := newOutage(t, func(o *async.Options) { o.StoreWait = c.wait })
				o.away(time.Hour)
				took, err := startLasting(w, c.lasts, 0, func() { t.Error("the function ran") })
				if _, ok := errors.AsType[*store.Error](err); !ok || took > c.most || took < c.most*2/3 {
					t.Errorf("Start returned %v after %v, want an error of the store after %v", err, took, c.most)
				}
				if c.calls == 0 && !strings.Contains(err.Error(), "the store did not answer within") {
					t.Errorf("the error is %q, want it to say that Start has waited", err)
				}
				if n := o.calls.Load(); c.calls > 0 && n != c.calls || n > 500 {
					t.Errorf("%d calls of the store, want %d, or some", n, c.calls)
				}
			})
		})
	}
}

// While Start waits, the attempt's heartbeats continue, with the details that
// the server has.
func TestStartBeatsWhileTheStoreIsAway(t *testing.T) {
	for name, hangs := range map[string]bool{"fails": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s, o := newOutage(t)
				o.hangs = hangs
				s.record("of the attempt before")
				begin := time.Now()
				o.away(25 * time.Second)
				_, err := startLasting(w, time.Hour, 6*time.Second, func() { o.away(25 * time.Second) })
				if err != activity.ErrResultPending {
					t.Errorf("Start returned %v", err)
				}
				last := begin
				for _, b := range s.taken() {
					if gap := b.at.Sub(last); gap > 5*time.Second {
						t.Errorf("%v without a heartbeat, and the timeout is 6 s", gap)
					}
					if b.details != "of the attempt before" {
						t.Errorf("a beat says %q, want what the server had", b.details)
					}
					last = b.at
				}
				if gap := time.Since(last); gap > 5*time.Second {
					t.Errorf("the last beat is %v ago, and the timeout is 6 s", gap)
				}
				if r := w.record(); r.HandedOffStarted != r.Started || time.Unix(0, r.LastBeat).After(last) {
					t.Errorf("asked %v, the pump's time begins at %v, want that of a beat up to the last, %v", r.HandedOffStarted == r.Started, time.Unix(0, r.LastBeat), last)
				}
				beats := len(s.taken())
				pass(time.Minute)
				if n := len(s.taken()); n != beats {
					t.Errorf("%d beats after Start has returned, want none", n-beats)
				}
			})
		})
	}
}

// A hand-off is recorded even if the store is unreachable when the function
// returns. If the store stays unreachable, the activity still waits.
func TestHandOffWaitsForTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		away     time.Duration
		ends     bool // whether the activity's context ends when the function returns
		recorded bool
		most     time.Duration
	}{
		"for a moment":           {20 * time.Second, false, true, 23 * time.Second},
		"for long":               {time.Minute, false, false, 31 * time.Second},
		"and the context ends":   {3 * time.Second, true, true, 6 * time.Second},
		"and it ends, for long":  {time.Minute, true, false, 11 * time.Second},
		"not at all, it ends":    {0, true, true, 0},
		"not at all, it goes on": {0, false, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _, o := newOutage(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begin := time.Now()
				err := async.StartAttempt(ctx, w.hub, attemptNow(1, 0), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
					o.away(c.away)
					if c.ends {
						cancel()
					}
					return nil
				})
				if took := time.Since(begin); err != activity.ErrResultPending || took > c.most+time.Second {
					t.Errorf("Start returned %v after %v, want activity.ErrResultPending within %v", err, took, c.most)
				}
				if r := w.record(); (r.HandedOffStarted == r.Started) != c.recorded {
					t.Errorf("the hand-off is recorded: %v, want %v", r.HandedOffStarted == r.Started, c.recorded)
				}
				if !c.recorded && !strings.Contains(w.logs.String(), "the hand-off could not be recorded") {
					t.Errorf("the log doesn't say that the hand-off isn't recorded: %s", w.logs)
				}
			})
		})
	}
}
