package async_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// signalHooks counts the calls of the signal hooks.
type signalHooks struct {
	mu   sync.Mutex
	told map[string]int
	fail int // the number of first calls that fail
}

func (s *signalHooks) hook(name string) func(context.Context, async.Callback) error {
	return func(context.Context, async.Callback) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.told == nil {
			s.told = make(map[string]int)
		}
		s.told[name]++
		if s.fail > 0 {
			s.fail--
			return errors.New("the hook failed")
		}
		return nil
	}
}

func (s *signalHooks) set(o *async.Options) {
	o.Hooks.CancelRequested, o.Hooks.Paused, o.Hooks.Reset = s.hook("cancel"), s.hook("paused"), s.hook("reset")
}

func (s *signalHooks) want(t *testing.T, when string, want map[string]int) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !maps.Equal(s.told, want) {
		t.Errorf("%s: the hooks were told %v, want %v", when, s.told, want)
	}
}

var signalCases = map[string]struct {
	signals completer.Signals
	errs    []error
	told    map[string]int
}{
	"cancel": {completer.Signals{CancelRequested: true}, []error{async.ErrCancelRequested}, map[string]int{"cancel": 1}},
	"paused": {completer.Signals{Paused: true}, []error{async.ErrPaused}, map[string]int{"paused": 1}},
	"reset":  {completer.Signals{Reset: true}, []error{async.ErrReset}, map[string]int{"reset": 1}},
	"all": {
		completer.Signals{CancelRequested: true, Paused: true, Reset: true},
		[]error{async.ErrCancelRequested, async.ErrPaused, async.ErrReset}, map[string]int{"cancel": 1, "paused": 1, "reset": 1},
	},
}

// wantSignals checks that an error contains exactly these signals.
func wantSignals(t *testing.T, when string, err error, want []error) {
	t.Helper()
	for _, s := range []error{async.ErrCancelRequested, async.ErrPaused, async.ErrReset} {
		wanted := false
		for _, w := range want {
			wanted = wanted || w == s
		}
		if errors.Is(err, s) != wanted {
			t.Errorf("%s: Heartbeat returned %v, which is %v: %t, want %t", when, err, s, !wanted, wanted)
		}
	}
	if len(want) == 0 && err != nil {
		t.Errorf("%s: Heartbeat returned %v, want nil", when, err)
	}
}

func TestSignals(t *testing.T) {
	for name, c := range signalCases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hooks := new(signalHooks)
				w, s := newBeatWorld(t, hooks.set)
				runHub(t, w.hub)
				other, err := async.New(async.Options{Store: w.store}) // a hub of another process, which only settles
				wantNil(t, err)
				id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				p := w.open(id)
				wantSignals(t, "before", p.Heartbeat(t.Context(), "1"), nil)
				pass(2 * time.Second)
				s.set(func(s *server) { s.signals = c.signals })
				wantSignals(t, "not yet known", p.Heartbeat(t.Context(), "2"), nil)
				pass(2 * time.Second)
				hooks.want(t, "after a beat", c.told)
				calls := s.made()
				for range 3 {
					wantSignals(t, "known", p.Heartbeat(t.Context(), "3"), c.errs)
				}
				q, err := other.Open(t.Context(), id)
				wantNil(t, err)
				if i := q.Info(); (completer.Signals{CancelRequested: i.CancelRequested, Paused: i.Paused, Reset: i.Reset}) != c.signals {
					t.Errorf("Info by another hub tells %+v, want %+v", i, c.signals)
				}
				wantSignals(t, "by another hub", q.Heartbeat(t.Context(), "4"), c.errs)
				pass(10 * time.Minute)
				hooks.want(t, "ten minutes later", c.told)
				if s.made()-calls < 50 || s.lastSaid() != "4" {
					t.Errorf("%d beats in the ten minutes after, the last says %q, want them to go on, and 4", s.made()-calls, s.lastSaid())
				}

				// The signals belong to an attempt. The signals are cleared for
				// the next attempt, and reported again while they are in force.
				s.set(func(s *server) { s.signals = completer.Signals{} })
				w.startNow(2, 30*time.Second, async.StartOptions{}, nil)
				wantSignals(t, "next attempt", p.Heartbeat(t.Context()), nil)
				if i := w.open(id).Info(); i.CancelRequested || i.Paused || i.Reset {
					t.Errorf("the signals of the attempt before stand: %+v", i)
				}
				pass(12 * time.Second)
				hooks.want(t, "next attempt", c.told)
				s.set(func(s *server) { s.signals = c.signals })
				pass(12 * time.Second)
				twice := make(map[string]int)
				for k, n := range c.told {
					twice[k] = 2 * n
				}
				hooks.want(t, "again", twice)
			})
		})
	}
}

// A pause can be lifted and can come again; a cancellation and a reset stay.
func TestPauseIsLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := new(signalHooks)
		w, s := newBeatWorld(t, hooks.set)
		runHub(t, w.hub)
		p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
		all := completer.Signals{CancelRequested: true, Paused: true, Reset: true}
		for n, now := range []completer.Signals{{}, all, {}, all} {
			s.set(func(s *server) { s.signals = now })
			pass(12 * time.Second)
			want := []error{}
			if n > 0 {
				want = append(want, async.ErrCancelRequested, async.ErrReset)
			}
			if now.Paused {
				want = append(want, async.ErrPaused)
			}
			wantSignals(t, fmt.Sprintf("step %d", n), p.Heartbeat(t.Context()), want)
		}
		pass(12 * time.Second)
		hooks.want(t, "paused twice", map[string]int{"cancel": 1, "paused": 2, "reset": 1})
	})
}

// A hook that fails is retried, and delays no beat.
func TestSignalHookFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := &signalHooks{fail: 4}
		w, s := newBeatWorld(t, hooks.set)
		s.signals = completer.Signals{CancelRequested: true}
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(5 * time.Minute)
		hooks.want(t, "after four failures", map[string]int{"cancel": 5})
		for i, b := range s.taken()[1:] {
			if gap := b.at.Sub(s.taken()[i].at); gap > 10*time.Second+longestPoll {
				t.Errorf("beat %d comes %v after the one before: the hook has delayed it", i+1, gap)
			}
		}
	})
}

// A hub without a hook for the signal, or another hub, still sees the signal. A
// question at the deadline also learns of signals.
func TestSignalsWithoutBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := new(signalHooks)
		w, s := newBeatWorld(t, hooks.set)
		s.signals = completer.Signals{CancelRequested: true, Paused: true}
		runHub(t, w.hub)
		id := w.startNow(1, 0, async.StartOptions{}, nil)
		w.change(func(r *record.Record) { r.Deadline = time.Now().Add(time.Minute).UnixNano() })
		pass(time.Minute)
		hooks.want(t, "before the deadline", nil)
		e, r := w.stored()
		e.Due = time.Now()
		_, err := w.store.Put(t.Context(), e)
		wantNil(t, err)
		_ = r
		pass(time.Minute)
		hooks.want(t, "after the deadline", map[string]int{"cancel": 1, "paused": 1})
		wantSignals(t, "after the deadline", w.open(id).Heartbeat(t.Context()), []error{async.ErrCancelRequested, async.ErrPaused})
	})
}

func TestHeartbeatOfWhatIsNotWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return errors.New("away") }
		wantNil(t, p.Complete(t.Context(), Decision{}))
		wantErr(t, p.Heartbeat(t.Context(), 1), async.ErrSettled)
		wantNil(t, p.Abandon(t.Context()))
		wantErr(t, p.Heartbeat(t.Context(), 1), async.ErrClosed)
		wantErr(t, async.Callback{}.Heartbeat(t.Context()), async.ErrNotFound)
		if s.made() != 0 {
			t.Errorf("%d beats, want none", s.made())
		}
		w = newWorld(t)
		q := w.open(w.start(1, async.StartOptions{}))
		w.startOtherType(2)
		wantErr(t, q.Heartbeat(t.Context(), 1), async.ErrSuperseded)
	})
}

// After a request for cancellation, the application may give any answer.
func TestCancellationIsAnswered(t *testing.T) {
	for name, answer := range map[string]func(ctx context.Context, p async.Pending[Decision]) error{
		"ReportCanceled": func(ctx context.Context, p async.Pending[Decision]) error { return p.ReportCanceled(ctx, "cleaned up") },
		"Complete":       func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) },
		"Fail":           func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("no")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				s.signals.CancelRequested = true
				runHub(t, w.hub)
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				pass(12 * time.Second)
				looks := s.looked()
				wantNil(t, answer(t.Context(), p))
				w.wantSent(1)
				if name == "ReportCanceled" && s.looked() != looks {
					t.Error("Temporal was asked for a request that a beat had learned of")
				}
				calls := s.made()
				pass(time.Minute)
				if s.made() != calls {
					t.Errorf("%d beats after the answer, want none", s.made()-calls)
				}
			})
		})
	}
}
