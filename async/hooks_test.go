package async_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// hookCalls collects the arguments of the hooks' calls.
type hookCalls struct {
	mu    sync.Mutex
	kinds []string
	last  async.Callback
	why   error
	fail  func() error
}

func (o *hookCalls) hooks() async.Hooks {
	note := func(kind string, c async.Callback, why error) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.fail != nil {
			if err := o.fail(); err != nil {
				return err
			}
		}
		o.kinds, o.last, o.why = append(o.kinds, kind), c, why
		return nil
	}
	return async.Hooks{
		Delivered: func(_ context.Context, c async.Callback) error { return note("delivered", c, nil) },
		Over:      func(_ context.Context, c async.Callback, why error) error { return note("over", c, why) },
		Refused:   func(_ context.Context, c async.Callback, why error) error { return note("refused", c, why) },
	}
}

func (o *hookCalls) want(t *testing.T, kinds ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.kinds) != len(kinds) {
		t.Fatalf("the hooks were told %v, want %v", o.kinds, kinds)
	}
	for i := range kinds {
		if o.kinds[i] != kinds[i] {
			t.Fatalf("the hooks were told %v, want %v", o.kinds, kinds)
		}
	}
}

func hooked(t *testing.T) (*world, *hookCalls) {
	t.Helper()
	o := new(hookCalls)
	return newWorld(t, func(opts *async.Options) { opts.Hooks = o.hooks() }), o
}

func TestDeliveredIsTold(t *testing.T) {
	in(t, func(t *testing.T) {
		w, o := hooked(t)
		p := w.pendFor(time.Hour, async.StartOptions{Labels: map[string]string{"team": "travel"}})
		wantNil(t, p.Remember(t.Context(), "job-1"))
		wantNil(t, p.Complete(t.Context(), Decision{}))
		o.want(t) // the hook is not called within the call
		w.work(w.hub)
		o.want(t, "delivered")
		if i := o.last.Info(); o.last.ID() != p.ID() || i.Labels["team"] != "travel" || i.Reference != "job-1" || !i.Delivered {
			t.Errorf("the hook got %+v", i)
		}
		w.work(w.hub)
		o.want(t, "delivered")
		if time.Until(w.due()) < 23*time.Hour {
			t.Errorf("told, it comes back in %v, want the retention", time.Until(w.due()))
		}
	})
}

// A round ends and the next one begins before a hook was called for the first
// round. The hook then gets the callback of the first round.
func TestDeliveredOfAnOlderRoundIsTold(t *testing.T) {
	in(t, func(t *testing.T) {
		w, o := hooked(t)
		first := w.start(1, async.StartOptions{})
		wantNil(t, w.open(first).Remember(t.Context(), "job-1"))
		wantNil(t, w.open(first).Fail(t.Context(), errors.New("no")))
		wantNil(t, w.open(w.start(2, async.StartOptions{})).Remember(t.Context(), "job-2"))
		w.work(w.hub)
		o.want(t, "delivered")
		if i := o.last.Info(); o.last.ID() != first || i.Reference != "job-1" || i.Outcome != "failure" || !i.Delivered || i.State != async.Closed {
			t.Errorf("the hook got %v with %+v, want the round that is over", o.last, i)
		}
		w.wantState(async.Waiting)
	})
}

func TestOverHookIsCalled(t *testing.T) {
	for name, c := range map[string]struct {
		end  completer.End
		want error
	}{
		"timed out": {completer.EndTimedOut, async.ErrExpired},
		"other":     {completer.EndOther, completer.ErrOver},
		"ours":      {completer.EndOurs, completer.ErrOver}, // the entry itself has no outcome
		"unknown":   {completer.EndUnknown, async.ErrUnknownEnd},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w, o := hooked(t)
				w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
					return completer.Status{End: c.end}, nil
				}
				w.pendFor(time.Minute, async.StartOptions{})
				time.Sleep(time.Minute)
				w.work(w.hub)
				o.want(t, "over")
				wantErr(t, o.why, c.want)
			})
		})
	}
	t.Run("abandoned", func(t *testing.T) {
		in(t, func(t *testing.T) {
			w, o := hooked(t)
			wantNil(t, w.pendFor(time.Minute, async.StartOptions{}).Abandon(t.Context()))
			w.work(w.hub)
			o.want(t, "over")
			wantErr(t, o.why, async.ErrAbandoned)
		})
	})
	t.Run("another type", func(t *testing.T) {
		in(t, func(t *testing.T) {
			w, o := hooked(t)
			w.completer.CompleteFunc = unavailable
			first := w.start(1, async.StartOptions{})
			wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
			err := async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[int]) error { return nil })
			if err != activity.ErrResultPending {
				t.Fatal(err)
			}
			w.work(w.hub)
			o.want(t, "over")
			wantErr(t, o.why, async.ErrTypeMismatch)
			if o.last.ID() != first {
				t.Error("the hook got the callback of the new round")
			}
		})
	})
}

// An activity seemed to have ended without the outcome, but was not over. If
// the next attempt awaits the same type, the outcome is delivered, and the hook
// Over is not called. If it awaits another type, the hook Over is called.
func TestOverIsWithdrawnWhereItWasNot(t *testing.T) {
	for name, same := range map[string]bool{"same type": true, "another type": false} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w, o := hooked(t)
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrOver }
				w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
					return completer.Status{End: completer.EndTimedOut}, nil
				}
				wantErr(t, w.open(w.start(1, async.StartOptions{})).Complete(t.Context(), Decision{}), async.ErrClosed)
				w.completer.CompleteFunc = nil
				if same {
					w.start(2, async.StartOptions{})
				} else {
					err := async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[int]) error { return nil })
					if err != activity.ErrResultPending {
						t.Fatal(err)
					}
				}
				w.work(w.hub)
				if same {
					o.want(t, "delivered")
				} else {
					o.want(t, "over")
					wantErr(t, o.why, async.ErrExpired)
				}
			})
		})
	}
}

func TestRefusedIsToldAtEachTry(t *testing.T) {
	in(t, func(t *testing.T) {
		w, o := hooked(t)
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrCallRefused }
		wantNil(t, w.pendFor(time.Hour, async.StartOptions{}).Complete(t.Context(), Decision{}))
		w.work(w.hub)
		o.want(t, "refused")
		wantErr(t, o.why, completer.ErrRefused)
		time.Sleep(8 * time.Minute)
		w.work(w.hub)
		o.want(t, "refused", "refused")
		w.wantState(async.Settled)
	})
}

func TestHookThatFailsPanicsOrHangs(t *testing.T) {
	for name, fail := range map[string]func() error{
		"fails":  func() error { return errors.New("mail is down") },
		"panics": func() error { panic("hook") },
		"hangs":  func() error { time.Sleep(time.Minute); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				var calls atomic.Int32
				var mended atomic.Bool
				w := newWorld(t, func(o *async.Options) {
					o.Hooks.Delivered = func(context.Context, async.Callback) error {
						calls.Add(1)
						if !mended.Load() {
							return fail()
						}
						return nil
					}
				})
				p := w.pendFor(time.Hour, async.StartOptions{})
				wantNil(t, p.Complete(t.Context(), Decision{}))
				begin := time.Now()
				w.work(w.hub)
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("it held Work for %v", took)
				}
				if calls.Load() != 1 || len(w.record().Notices) != 1 {
					t.Errorf("called %d times, untold: %v", calls.Load(), w.record().Notices)
				}
				mended.Store(true)
				for range 20 {
					time.Sleep(10 * time.Second)
					w.work(w.hub)
				}
				if calls.Load() != 2 || len(w.record().Notices) != 0 {
					t.Errorf("called %d times, untold: %v, want it told at the second call", calls.Load(), w.record().Notices)
				}
			})
		})
	}
}

// A hook that hangs for one entry delays neither deliveries nor the hooks of
// other entries.
func TestHangingHookDelaysNobodyElse(t *testing.T) {
	in(t, func(t *testing.T) {
		var mu sync.Mutex
		done := 0
		release := make(chan struct{})
		w := newWorld(t, func(o *async.Options) {
			o.Concurrency = 4
			o.Hooks.Delivered = func(_ context.Context, c async.Callback) error {
				if c.Info().ActivityID == "hangs" {
					<-release
				}
				mu.Lock()
				defer mu.Unlock()
				done++
				return nil
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- w.hub.Run(ctx) }()
		for n := range 21 {
			info := lasting(time.Hour)
			info.ActivityID = string(rune('a' + n))
			if n == 0 {
				info.ActivityID = "hangs"
			}
			var id string
			err := async.StartAttempt(ctx, w.hub, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
				id = p.ID()
				return nil
			})
			if err != activity.ErrResultPending {
				t.Fatal(err)
			}
			wantNil(t, w.open(id).Complete(ctx, Decision{}))
		}
		time.Sleep(5 * time.Second) // shorter than the time limit of a hook
		mu.Lock()
		if done != 20 {
			t.Errorf("%d of 20 hooks were told beside the one that hangs", done)
		}
		mu.Unlock()
		stop()
		<-stopped
		close(release)
	})
}

// Run does not claim an entry again while its hooks run. Run ends in time even
// if there are many hooks to call.
func TestHooksAreCalledOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		var calls atomic.Int32
		w := newWorld(t, func(o *async.Options) {
			o.Hooks.Delivered = func(context.Context, async.Callback) error {
				calls.Add(1)
				time.Sleep(2 * time.Second)
				return nil
			}
		})
		settler, err := async.New(async.Options{Store: w.store})
		wantNil(t, err)
		p, err := async.Open[Decision](t.Context(), settler, w.pendFor(time.Hour, async.StartOptions{}).ID())
		wantNil(t, err)
		wantNil(t, p.Complete(t.Context(), Decision{}))
		w.change(func(r *record.Record) {
			for i := range 6 {
				r.Notices = append(r.Notices, &record.Notice{Kind: record.NoticeDelivered, Secret: []byte{byte(i), 15: 0}})
			}
			r.NextNotice = time.Now().UnixNano()
		})
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- w.hub.Run(ctx) }()
		begin := time.Now()
		<-done
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("Run took %v to stop", took)
		}
		time.Sleep(time.Minute)
		for range 5 {
			w.work(w.hub)
			time.Sleep(time.Minute)
		}
		if n := calls.Load(); n < 7 || n > 8 { // the stop may have interrupted one call
			t.Errorf("seven hooks were called %d times", n)
		}
		if n := len(w.record().Notices); n != 0 {
			t.Errorf("%d are untold", n)
		}
	})
}

// The result of one hook is known before the next hook of the same entry is
// called. All due hooks of the entry are called in one step.
func TestNoticesOfOneEntryFollowEachOther(t *testing.T) {
	for range 50 {
		w, o := hooked(t)
		w.start(1, async.StartOptions{})
		w.change(func(r *record.Record) {
			for i := range 16 {
				r.Notices = append(r.Notices, &record.Notice{Kind: record.NoticeDelivered, Secret: []byte{byte(i), 15: 0}})
			}
			r.NextNotice = time.Now().UnixNano()
		})
		e, _ := w.stored()
		e.Due = time.Now()
		_, err := w.store.Put(t.Context(), e)
		wantNil(t, err)
		w.work(w.hub)
		if n := len(w.record().Notices); n != 0 || len(o.kinds) != 16 {
			t.Fatalf("%d hooks were told in one go, and %d notices are left, want 16 and none", len(o.kinds), n)
		}
	}
}

func TestHubWithoutTheHookTellsNobody(t *testing.T) {
	in(t, func(t *testing.T) {
		w, o := hooked(t)
		other, err := async.New(async.Options{Store: w.store, Completer: w.completer})
		wantNil(t, err)
		wantNil(t, w.pendFor(time.Hour, async.StartOptions{}).Complete(t.Context(), Decision{}))
		w.work(other)
		o.want(t)
		if n := len(w.record().Notices); n != 0 {
			t.Errorf("%d notices are left, for a hub that may never come", n)
		}
	})
}

func TestUnknownNoticeIsKept(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := hooked(t)
		w.pendFor(time.Hour, async.StartOptions{})
		w.change(func(r *record.Record) {
			r.Notices = []*record.Notice{{Kind: 99}}
			r.NextNotice = time.Now().UnixNano()
		})
		e, r := w.stored()
		e.Due = time.Now()
		e, err := async.EncodeRecord(e, r)
		wantNil(t, err)
		_, err = w.store.Put(t.Context(), e)
		wantNil(t, err)
		w.work(w.hub)
		if n := len(w.record().Notices); n != 1 {
			t.Errorf("%d notices are left, want the one of a newer release", n)
		}
	})
}
