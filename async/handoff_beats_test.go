package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// While the function runs, Start sends beats with the details that the server
// has. When the function returns, the pump takes over.
func TestStartBeatsWhileTheFunctionRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		s.record("of the attempt before")
		var began, returned time.Time
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			began = time.Now()
			pass(95 * time.Second)
			returned = time.Now()
			return nil
		})
		beats := s.taken()
		if len(beats) != 9 {
			t.Errorf("%d beats in 95 s with a heartbeat timeout of 30 s, want one every 10 s", len(beats))
		}
		for i, b := range beats {
			if b.token != "token-1" || b.details != "of the attempt before" {
				t.Errorf("beat %d went to %q and says %q, want this attempt's token, and what the server had", i, b.token, b.details)
			}
			if b.at.Sub(began) != time.Duration(i+1)*10*time.Second {
				t.Errorf("beat %d comes %v after the function began", i, b.at.Sub(began))
			}
		}
		pass(time.Minute) // no hub runs
		if n := len(s.taken()); n != len(beats) {
			t.Errorf("%d beats after the function has returned, by nobody, want none", n-len(beats))
		}
		if at := time.Unix(0, w.record().LastBeat); !at.Equal(beats[len(beats)-1].at) || !at.Before(returned) {
			t.Errorf("the pump's time begins at %v, want that of Start's last beat, %v", at, beats[len(beats)-1].at)
		}
	})
}

func TestStartBeatsAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		w.startNow(1, 24*time.Hour, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			pass(10*time.Minute + time.Second)
			return nil
		})
		if n := len(s.taken()); n != 10 {
			t.Errorf("%d beats in ten minutes with a heartbeat timeout of a day, want one a minute", n)
		}
	})
}

// If the function sends its own beats, Start sends none and does not overwrite
// their details. If the function stops sending, Start continues in time.
func TestFunctionThatBeatsForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		s.record("of the attempt before") // a record of an earlier attempt does not count for this attempt
		pass(time.Second)
		var silent time.Time
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			for n := range 12 {
				pass(5 * time.Second)
				s.record(n)
			}
			if n := len(s.taken()); n != 0 {
				t.Errorf("Start has beaten %d times while the function did, want never", n)
			}
			silent = time.Now()
			pass(2 * time.Minute)
			return nil
		})
		beats := s.taken()
		if len(beats) == 0 || beats[0].at.Sub(silent) >= 25*time.Second || beats[0].details != "11" {
			t.Fatalf("the beats are %v after the function has fallen silent, want one in time, with what it recorded last", beats)
		}
		for i := 1; i < len(beats); i++ {
			if gap := beats[i].at.Sub(beats[i-1].at); gap > 11*time.Second {
				t.Errorf("two beats are %v apart, want 10 s", gap)
			}
		}
	})
}

// If the function records details after the external system, the function's
// details are newer, and Start does not overwrite them.
func TestStartBeatsWithTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			pass(12 * time.Second)
			wantNil(t, p.Heartbeat(ctx, "10%"))
			pass(time.Second)
			s.record("by the function")
			pass(30 * time.Second)
			wantNil(t, p.Heartbeat(ctx, "20%"))
			pass(10 * time.Second)
			return nil
		})
		if said := s.said(); strings.Contains(said, "10%") || !strings.HasSuffix(said, "by the function 20%") {
			t.Errorf("Start's beats say %q, want what was the latest each time", said)
		}
	})
}

// The worker's beats end when the function ends in any way, and when the worker
// stops.
func TestStartBeatsEndWithTheFunction(t *testing.T) {
	errFunction := errors.New("failed")
	for name, f := range map[string]func(cancel func()) error{
		"error": func(func()) error { return errFunction },
		"panic": func(func()) error { panic("boom") },
		"the worker's context ends": func(cancel func()) error {
			cancel()
			pass(time.Minute)
			return errFunction
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				func() {
					defer func() { _ = recover() }()
					_ = async.StartAttempt(ctx, w.hub, attemptNow(1, 30*time.Second), async.StartOptions{},
						func(context.Context, async.Pending[Decision]) error {
							pass(25 * time.Second)
							return f(cancel)
						})
				}()
				pass(5 * time.Minute)
				if n := len(s.taken()); n != 2 {
					t.Errorf("%d beats, want the two while the function ran", n)
				}
			})
		})
	}
}

// After the attempt is over, Start sends no beats, because they would reach
// another attempt.
func TestStartBeatsEndWithTheAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		over func(s *server)
		want int // calls of Heartbeat
	}{
		"described as over": {func(s *server) {
			s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }
		}, 2},
		"described in back-off": {func(s *server) { s.describe = func(s *completer.Status) { s.Running, s.Started = false, time.Time{} } }, 2},
		"the next runs":         {func(s *server) { s.describe = func(s *completer.Status) { s.Started = s.Started.Add(time.Second) } }, 2},
		"token not found":       {func(s *server) { s.beatErr = completer.ErrOver }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
					pass(25 * time.Second)
					s.set(c.over)
					pass(10 * time.Second)
					s.set(func(s *server) { s.describe, s.beatErr = nil, nil }) // a reset makes the token valid again
					looks := s.looked()
					pass(2 * time.Minute)
					if s.looked() != looks {
						t.Errorf("Temporal was asked %d times more after the attempt was over, want never", s.looked()-looks)
					}
					return nil
				})
				if s.made() != c.want {
					t.Errorf("%d beats, want %d: none after the attempt was over", s.made(), c.want)
				}
			})
		})
	}
}

// A call that fails is retried. While the server's details are unknown, no beat
// is sent.
func TestStartBeatsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			s.set(func(s *server) { s.lookErr = errors.New("away") })
			pass(25 * time.Second)
			if s.made() != 0 {
				t.Errorf("%d beats although it isn't known what the server has, want none: they might erase it", s.made())
			}
			s.set(func(s *server) { s.lookErr, s.beatErr = nil, errors.New("away") })
			pass(20 * time.Second)
			s.set(func(s *server) { s.beatErr = nil })
			pass(20 * time.Second)
			return nil
		})
		if s.made() != 4 || len(s.taken()) != 2 {
			t.Errorf("%d beats were sent and %d taken, want 4 and 2", s.made(), len(s.taken()))
		}
	})
}

// The worker's beats learn of signals. A signal is in the entry at once, and a
// running hub calls its hook.
func TestStartBeatsLearnOfSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := new(signalHooks)
		w, s := newBeatWorld(t, hooks.set)
		s.signals = completer.Signals{CancelRequested: true, Paused: true}
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			wantSignals(t, "before", p.Heartbeat(ctx), nil)
			pass(11 * time.Second)
			wantSignals(t, "after a beat", p.Heartbeat(ctx), []error{async.ErrCancelRequested, async.ErrPaused})
			pass(2 * time.Second)
			hooks.want(t, "while the function runs", map[string]int{"cancel": 1, "paused": 1})
			pass(30 * time.Second)
			return nil
		})
		hooks.want(t, "in the end", map[string]int{"cancel": 1, "paused": 1})
	})
}

func TestNoStartBeatsWithoutAHeartbeatTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		w.startNow(1, 0, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			pass(time.Hour)
			return nil
		})
		if s.made() != 0 || s.looked() != 0 {
			t.Errorf("%d beats and %d questions where there is no heartbeat timeout, want none", s.made(), s.looked())
		}
	})
}

// A hub without a completer sends beats through the worker's client. In this
// test there is no client: the hub logs that it has no completer, and otherwise
// works.
func TestStartBeatsWithoutACompleter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) { o.Completer = nil })
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			pass(time.Minute)
			return nil
		})
		if s.made() != 0 || !strings.Contains(w.logs.String(), "none can be made of the worker's client") {
			t.Errorf("%d beats, and the log says: %s", s.made(), w.logs)
		}
		if r := w.record(); r.HandedOffStarted != r.Started {
			t.Error("the hand-off isn't recorded")
		}
	})
}

// An attempt starts while the function of the earlier attempt still runs. The
// new attempt gets no beats from the Start of the earlier one.
func TestStartBeatsOnlyForItsOwnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		first := attemptNow(1, 30*time.Second)
		s.describe = func(s *completer.Status) { s.Started = first.StartedTime }
		err := async.StartAttempt(t.Context(), w.hub, first, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			pass(15 * time.Second)
			w.startNow(2, 30*time.Second, async.StartOptions{}, nil)
			second := w.record().Started
			s.set(func(s *server) { s.describe = func(s *completer.Status) { s.Started = time.Unix(0, second) } })
			pass(time.Minute)
			return nil
		})
		if err != activity.ErrResultPending {
			t.Errorf("Start returned %v", err)
		}
		if beats := s.taken(); len(beats) != 1 || beats[0].token != "token-1" {
			t.Errorf("the beats are %v, want the one while the first attempt ran", beats)
		}
	})
}

func TestWarningOfShortTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const warning = "below three times Options.ClaimTime"
		w, _ := newBeatWorld(t)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		w.startNow(2, 0, async.StartOptions{}, nil)
		if strings.Contains(w.logs.String(), warning) {
			t.Error("a warning of a heartbeat timeout of three claim times, or of none")
		}
		w.startNow(3, 30*time.Second-1, async.StartOptions{}, nil)
		w.startNow(4, 20*time.Second, async.StartOptions{}, nil)
		if n := strings.Count(w.logs.String(), warning); n != 1 {
			t.Errorf("%d warnings of too short a heartbeat timeout, want one for the activity type", n)
		}
	})
}
