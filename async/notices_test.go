package async_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// signalHook is a hook for a cancellation that fails until the test repairs it.
type signalHook struct {
	mu    sync.Mutex
	calls []time.Time
	last  async.Callback
	fail  func(ctx context.Context) error
}

func (s *signalHook) set(o *async.Options) {
	o.Hooks.CancelRequested = func(ctx context.Context, c async.Callback) error {
		s.mu.Lock()
		s.calls, s.last = append(s.calls, time.Now()), c
		fail := s.fail
		s.mu.Unlock()
		if fail == nil {
			return nil
		}
		return fail(ctx)
	}
}

func (s *signalHook) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = nil
}

func (s *signalHook) called() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func mailIsDown(context.Context) error { return errors.New("mail is down") }

// wantEmpty checks that the entry has no notices left.
func (w *world) wantEmpty() {
	w.t.Helper()
	for range w.store.List(w.t.Context()) {
		w.t.Error("an entry is kept, whose retention is over")
	}
}

// A hook that always fails does not prevent other hooks of the same entry. The
// failing hook delays the removal of the entry only until its round ends.
func TestHookThatFailsForEverHidesNothing(t *testing.T) {
	complete := func(w *world, _ *server, p async.Pending[Decision]) {
		wantNil(w.t, p.Complete(w.t.Context(), Decision{}))
	}
	timeOut := func(_ *world, s *server, _ async.Pending[Decision]) {
		s.set(func(s *server) {
			s.beatErr = completer.ErrOver
			s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }
		})
	}
	refuse := func(w *world, _ *server, p async.Pending[Decision]) {
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrCallRefused }
		wantNil(w.t, p.Complete(w.t.Context(), Decision{}))
	}
	for name, fail := range map[string]func(context.Context) error{
		"fails":                     mailIsDown,
		"panics":                    func(context.Context) error { panic("hook") },
		"fails when its time is up": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		for what, end := range map[string]func(*world, *server, async.Pending[Decision]){"delivered": complete, "over": timeOut, "refused": refuse} {
			t.Run(name+", "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o, signal := new(hookCalls), &signalHook{fail: fail}
					w, s := newBeatWorld(t, func(opts *async.Options) {
						opts.Hooks = o.hooks()
						signal.set(opts)
					})
					runHub(t, w.hub)
					s.signals = completer.Signals{CancelRequested: true}
					p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
					pass(15 * time.Second)
					o.want(t)
					if len(signal.called()) == 0 {
						t.Fatal("the hook for the signal wasn't called")
					}
					end(w, s, p)
					pass(time.Minute)
					o.want(t, what)
					if what == "refused" {
						return // the round continues
					}
					calls := len(signal.called())
					pass(25 * time.Hour)
					o.want(t, what)
					if n := len(signal.called()) - calls; n > 1 {
						t.Errorf("the hook was called %d times a minute and more after the end, for a signal that nobody can react to", n)
					}
					w.wantEmpty()
				})
			})
		}
	}
}

// The hook of a signal is retried with backoff until it returns nil, or until
// its round ends.
func TestSignalIsToldAgainWhileItsRoundGoesOn(t *testing.T) {
	for name, mended := range map[string]bool{"and taken at last": true, "and never taken": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signal := &signalHook{fail: mailIsDown}
				w, s := newBeatWorld(t, signal.set)
				runHub(t, w.hub)
				s.signals = completer.Signals{CancelRequested: true}
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				pass(time.Hour)
				// The hook is called after 1, 2, 4 s and so on up to 10 min,
				// which is ten times in the first 17 min.
				if n := len(signal.called()); n < 12 || n > 18 {
					t.Errorf("the hook was called %d times in an hour, want about 14", n)
				}
				if mended {
					signal.mend()
					pass(15 * time.Minute)
					if n := len(w.record().Notices); n != 0 {
						t.Errorf("%d notices are untold, though the hook has taken it", n)
					}
				}
				calls := len(signal.called())
				wantNil(t, p.Complete(t.Context(), Decision{}))
				pass(15 * time.Minute)
				if n := len(w.record().Notices); n != 0 {
					t.Errorf("%d notices are untold after the end of their round", n)
				}
				most := 1
				if mended {
					most = 0
				}
				if n := len(signal.called()) - calls; n > most {
					t.Errorf("the hook was called %d times more after the end, want at most %d", n, most)
				}
			})
		})
	}
}

// The hook of a signal is retried even if the next round has begun. The hook
// gets the reference that was remembered in the signal's round, after the
// signal.
func TestSignalOfAnOlderRoundHasItsReference(t *testing.T) {
	for name, mended := range map[string]bool{"it is taken": true, "it fails once more": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signal := &signalHook{fail: mailIsDown}
				w, s := newBeatWorld(t, signal.set)
				s.signals = completer.Signals{CancelRequested: true}
				first := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(11 * time.Second)
				w.work(w.hub)
				if n := len(signal.called()); n != 1 || signal.last.Reference() != "" {
					t.Fatalf("the hook was called %d times, with the reference %q, want once, with none", n, signal.last.Reference())
				}
				wantNil(t, w.open(first).Remember(t.Context(), "job-7"))
				wantNil(t, w.open(first).Fail(t.Context(), errors.New("no")))
				second := w.startNow(2, 30*time.Second, async.StartOptions{}, nil)
				wantNil(t, w.open(second).Remember(t.Context(), "job-8"))
				if mended {
					signal.mend()
				}
				pass(2 * time.Second)
				w.work(w.hub)
				if n := len(signal.called()); n != 2 || signal.last.ID() != first || signal.last.Reference() != "job-7" {
					t.Errorf("the hook was called %d times, for %v with the reference %q, want twice, and %v with job-7", n, signal.last, signal.last.Reference(), first)
				}
				signal.mend()
				pass(10 * time.Second)
				w.work(w.hub) // the beat of the next attempt also learns of the signal
				if n := len(signal.called()); n != 3 || signal.last.ID() != second || len(w.record().Notices) != 0 {
					t.Errorf("the hook was called %d times, at last for %v, want the third time for %v", n, signal.last, second)
				}
			})
		})
	}
}

// A new reference does not make a different notice.
func TestSignalIsTakenWhileSomethingIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		var first, second string
		calls := 0
		w, s := newBeatWorld(t, func(o *async.Options) {
			o.WatchInterval = -1 // otherwise the watch would learn of the second attempt's signal
			o.Hooks.CancelRequested = func(ctx context.Context, c async.Callback) error {
				if calls++; c.ID() != first {
					return nil
				}
				// The round ends meanwhile, with a reference.
				wantNil(t, w.open(first).Remember(ctx, "job-7"))
				wantNil(t, w.open(first).Fail(ctx, errors.New("no")))
				second = w.startNow(2, 0, async.StartOptions{}, nil)
				return nil
			}
		})
		s.signals = completer.Signals{CancelRequested: true}
		first = w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(11 * time.Second)
		w.work(w.hub)
		if n := len(w.record().Notices); n != 0 || second == "" {
			t.Errorf("%d notices are untold, though the hook has taken it", n)
		}
		pass(time.Hour)
		w.work(w.hub)
		if calls != 1 {
			t.Errorf("the hook was called %d times, want once", calls)
		}
	})
}

// A hook failed and waits for its backoff. Other writes to the entry do not
// call the hook earlier.
func TestWritesHaveNoHookCalledBeforeItsTime(t *testing.T) {
	const long = 10 * time.Minute
	for name, during := range map[string]func(t *testing.T, w *world, s *server){
		"beats": func(t *testing.T, w *world, s *server) {
			p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
			for n := range int(long / time.Second) {
				if err := p.Heartbeat(t.Context(), n); err != nil && !errors.Is(err, async.ErrCancelRequested) {
					t.Fatalf("Heartbeat: %v", err)
				}
				pass(time.Second)
			}
			if n := s.made(); n < 300 {
				t.Errorf("%d beats, want about one a second", n)
			}
		},
		"questions": func(t *testing.T, w *world, s *server) {
			w.pendFor(time.Second, async.StartOptions{})
			pass(long)
			if n := s.looked(); n < 5 {
				t.Errorf("it was asked %d times whether the activity is over, want more", n)
			}
		},
		"delivery retries": func(t *testing.T, w *world, s *server) {
			w.completer.CompleteFunc = stumbles
			p := w.open(w.startNow(1, 3*time.Second, async.StartOptions{}, nil))
			wantNil(t, p.Heartbeat(t.Context(), "1")) // the hub learns the signal from this call
			pass(2500 * time.Millisecond)
			wantNil(t, p.Complete(t.Context(), Decision{}))
			pass(long)
			if n := w.record().Delivery.Tries; n < 300 {
				t.Errorf("%d tries to deliver, want about one a second", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signal := &signalHook{fail: mailIsDown}
				w, s := newBeatWorld(t, relaying, signal.set)
				runHub(t, w.hub)
				s.signals = completer.Signals{CancelRequested: true}
				during(t, w, s)
				calls := signal.called()
				if n := len(calls); n < 7 || n > 12 {
					t.Errorf("the hook was called %d times in %v, want about ten", n, long)
				}
				for i := 1; i < len(calls); i++ {
					if gap, least := calls[i].Sub(calls[i-1]), time.Second<<(i-1)*3/4; gap < least {
						t.Errorf("call %d came %v after the one before, want %v at least", i+1, gap, least)
					}
				}
			})
		})
	}
}
