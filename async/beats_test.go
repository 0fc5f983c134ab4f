package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// pumps returns the option that names the pumps of a hub.
func pumps(named map[string]heartbeat.Pump) func(*async.Options) {
	return func(o *async.Options) { o.Pumps = named }
}

// probing returns the option that makes a probe with this interval the default
// pump.
func probing(interval time.Duration, ask func(ctx context.Context, a heartbeat.Activity) (any, error)) func(*async.Options) {
	return pumps(map[string]heartbeat.Pump{"": heartbeat.Probe(ask, heartbeat.ProbeOptions{Interval: interval})})
}

func relaying(o *async.Options) {
	o.Pumps = map[string]heartbeat.Pump{"": heartbeat.Relay(heartbeat.RelayOptions{})}
}

const (
	// longestPoll is the longest delay of an idle hub. longestIdlePoll is that
	// delay if the store supports signals, and has sent none for a minute.
	longestPoll     = 1250 * time.Millisecond
	longestIdlePoll = 12500 * time.Millisecond
)

func TestCadence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		began := time.Now()
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(10 * time.Minute)
		beats := s.taken()
		if n := len(beats); n < 52 || n > 75 {
			t.Errorf("%d beats in ten minutes, want one every 8 to 11.25 s", n)
		}
		for i, b := range beats {
			if b.token != "token-1" {
				t.Errorf("a beat went to %q, want the attempt's token", b.token)
			}
			if gap := b.at.Sub(began); gap < 8*time.Second || gap > 10*time.Second+longestPoll {
				t.Errorf("beat %d comes %v after the one before, want 8 to 11.25 s", i, gap)
			}
			began = b.at
		}
		if s.looked() != 1 {
			t.Errorf("Temporal was asked %d times what it has, want once, before the first beat", s.looked())
		}
		i := w.open(async.CallbackID(w.stored())).Info()
		if !i.LastBeat.Equal(beats[len(beats)-1].at) || !i.NextBeat.After(i.LastBeat) {
			t.Errorf("Info says that the last beat was at %v and the next is at %v, want the last at %v", i.LastBeat, i.NextBeat, beats[len(beats)-1].at)
		}
	})
}

func TestSlowWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, pumps(map[string]heartbeat.Pump{
			"watch": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{Interval: 10 * time.Minute}),
		}))
		runHub(t, w.hub)
		w.startNow(1, 0, async.StartOptions{Pump: "watch"}, nil)
		pass(12 * time.Hour)
		if n := len(s.taken()); n < 12*6-1 || n > 12*8 {
			t.Errorf("%d beats in 12 h, want one every 8 to 10 minutes", n)
		}
		s2 := new(server)
		w.completer.HeartbeatFunc = s2.heartbeat
		w.change(func(r *record.Record) { r.Pump = "" })
		pass(time.Hour)
		if n := len(s2.taken()); n != 0 {
			t.Errorf("%d beats by KeepAlive without an interval, and without a heartbeat timeout, want none", n)
		}
	})
}

// No pump beats for an attempt whose function has not returned nil: the worker
// may have died before the request was sent.
func TestNoBeatBeforeTheFunctionHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Without a heartbeat timeout, Start sends no beats.
		w, s := newBeatWorld(t, pumps(map[string]heartbeat.Pump{"": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{Interval: time.Second})}))
		runHub(t, w.hub)
		none := func(when string) {
			t.Helper()
			before := len(s.taken())
			pass(time.Minute)
			if n := len(s.taken()) - before; n != 0 {
				t.Errorf("%d beats %s, want none", n, when)
			}
		}
		w.startNow(1, 0, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			none("while the function runs")
			return nil
		})
		pass(time.Minute)
		if len(s.taken()) < 30 {
			t.Fatalf("%d beats in a minute after the function has returned, want one a second", len(s.taken()))
		}
		failed := errors.New("failed")
		err := async.StartAttempt(t.Context(), w.hub, attemptNow(2, 0), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			none("while the second attempt's function runs")
			return failed
		})
		if err != failed {
			t.Fatalf("Start returned %v", err)
		}
		none("after the second attempt's function has failed")
		w.startNow(3, 0, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			wantNil(t, p.Heartbeat(ctx, "50%"))
			none("while the third attempt's function runs, which itself brings details")
			return nil
		})
		pass(10 * time.Second)
		if s.lastSaid() != "50%" {
			t.Errorf("what the function brought is not sent once it has returned; said is %q", s.lastSaid())
		}
	})
}

// A beat is sent only for an attempt whose function has returned, and whose
// token Temporal accepts. The due time of the entry does not change this
// condition.
func TestNoBeatForWhatTheEntrySays(t *testing.T) {
	for name, change := range map[string]func(r *record.Record){
		"nobody has been asked":    func(r *record.Record) { r.HandedOffStarted = 0 },
		"an attempt before was":    func(r *record.Record) { r.HandedOffStarted = r.Started - 1 },
		"the attempt is lost":      func(r *record.Record) { r.TokenLostStarted = r.Started },
		"nothing is due, but this": func(r *record.Record) { r.NextBeat = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(15 * time.Second)
				w.change(change)
				n, err := w.hub.Work(t.Context())
				if wantNil(t, err); n != 1 || s.made() != 0 {
					t.Errorf("Work did %d entries with %d beats, want one, and no beat", n, s.made())
				}
				wantNil(t, w.open(async.CallbackID(w.stored())).Heartbeat(t.Context(), 1))
				pass(time.Minute)
				_, err = w.hub.Work(t.Context())
				if wantNil(t, err); (s.made() != 0) != strings.HasPrefix(name, "nothing") {
					t.Errorf("%d beats after the outside has brought something", s.made())
				}
			})
		})
	}
}

// With Once, the function does not run again, and beats for the new attempt
// begin at once.
func TestOnceStartsBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{Once: true}, nil)
		pass(5 * time.Second)
		began := time.Now()
		if id := w.startNow(2, 30*time.Second, async.StartOptions{Once: true}, nil); id != "" {
			t.Fatal("the second attempt asked again")
		}
		pass(12 * time.Second)
		beats := s.taken()
		if len(beats) != 1 || beats[0].token != "token-2" || beats[0].at.Sub(began) < 8*time.Second {
			t.Errorf("the beats are %v, want one of the second attempt, 8 to 11.25 s after its Start", beats)
		}
	})
}

func TestBeatNotFound(t *testing.T) {
	for name, c := range map[string]struct {
		describe func(*completer.Status)
		closed   bool
		end      error
		reset    bool
	}{
		"timed out":   {func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }, true, async.ErrExpired, false},
		"otherwise":   {func(s *completer.Status) { *s = completer.Status{End: completer.EndOther} }, true, completer.ErrOver, false},
		"unknown":     {func(s *completer.Status) { *s = completer.Status{End: completer.EndUnknown} }, true, async.ErrUnknownEnd, false},
		"not by ours": {func(s *completer.Status) { *s = completer.Status{End: completer.EndOurs} }, true, completer.ErrOver, false},
		"back-off":    {func(s *completer.Status) { s.Running, s.Started = false, time.Time{} }, false, nil, false},
		"the next":    {func(s *completer.Status) { s.Started = s.Started.Add(time.Second) }, false, nil, false},
		"renumbered":  {nil, false, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				resets := 0
				w, s := newBeatWorld(t, func(o *async.Options) {
					o.Hooks.Over = func(_ context.Context, _ async.Callback, why error) error { told = append(told, why); return nil }
					o.Hooks.Reset = func(context.Context, async.Callback) error { resets++; return nil }
				})
				runHub(t, w.hub)
				id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(12 * time.Second)
				s.set(func(s *server) { s.beatErr, s.describe = completer.ErrOver, c.describe })
				pass(12 * time.Second)
				calls := s.made()
				pass(30 * time.Minute)
				if s.made() != calls {
					t.Errorf("%d more beats after Temporal no longer knew the token, want none", s.made()-calls)
				}
				if c.closed {
					w.wantState(async.Closed)
					if len(told) != 1 || !errors.Is(told[0], c.end) {
						t.Errorf("Over was told %v, want %v once", told, c.end)
					}
					wantErr(t, w.open(id).Heartbeat(t.Context(), 1), async.ErrClosed)
					return
				}
				w.wantState(async.Waiting)
				if len(told) != 0 || resets > 1 || (resets == 1) != c.reset {
					t.Errorf("Over was told %v and Reset %d times, want none and reset %t", told, resets, c.reset)
				}
				// An external heartbeat has no effect on an attempt in backoff:
				// there is no attempt to beat for.
				if err := w.open(id).Heartbeat(t.Context(), "75%"); errors.Is(err, async.ErrReset) != c.reset {
					t.Errorf("Heartbeat returned %v, want ErrReset: %t", err, c.reset)
				}
				pass(time.Minute)
				if s.made() != calls {
					t.Errorf("%d more beats when the outside brought details, want none", s.made()-calls)
				}
				s.set(func(s *server) { s.beatErr, s.describe = nil, nil })
				w.startNow(2, 30*time.Second, async.StartOptions{}, nil)
				pass(12 * time.Second)
				if beats := s.taken(); beats[len(beats)-1].token != "token-2" {
					t.Error("no beats for the next attempt")
				}
				if err := w.open(id).Heartbeat(t.Context()); err != nil {
					t.Errorf("Heartbeat of the next attempt returned %v: the signals of the one before stand", err)
				}
			})
		})
	}
}

// A hub does not use a token that a reset has given to another attempt. Before
// the first beat, the hub checks which attempt runs.
func TestNoFirstBeatForAnotherAttempt(t *testing.T) {
	for name, describe := range map[string]func(*completer.Status){
		"the next runs": func(s *completer.Status) { s.Started = s.Started.Add(time.Second) },
		"back-off":      func(s *completer.Status) { s.Running, s.Started = false, time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				s.describe = describe
				runHub(t, w.hub)
				w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(5 * time.Minute)
				if s.made() != 0 || s.looked() != 1 {
					t.Errorf("%d beats and %d questions, want none and one: another attempt would get them", s.made(), s.looked())
				}
				w.wantState(async.Waiting)
			})
		})
	}
}

// The result of a beat is recorded only for the attempt that the beat was for.
func TestBeatThatOutlastsItsAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := new(signalHooks)
		w, s := newBeatWorld(t, hooks.set)
		w.completer.HeartbeatFunc = func(ctx context.Context, t completer.Target, d *commonpb.Payloads) (completer.Signals, error) {
			if string(t.TaskToken) == "token-2" {
				return s.heartbeat(ctx, t, d)
			}
			time.Sleep(5 * time.Second)
			return completer.Signals{CancelRequested: true, Reset: true}, nil
		}
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(11500 * time.Millisecond)
		w.startNow(2, 30*time.Second, async.StartOptions{}, nil)
		began := time.Now()
		pass(6 * time.Second)
		hooks.want(t, "after the beat", nil)
		if r := w.record(); r.CancelRequested || r.ResetRequested || r.LastBeat > began.UnixNano() || r.DetailsReadStarted == r.Started {
			t.Error("what came of the first attempt's beat is written down as the second's")
		}
	})
}

// If Temporal does not know the answer yet, the hub asks again, and the entry
// does not change.
func TestBeatNotFoundAndNothingKnown(t *testing.T) {
	for name, change := range map[string]func(s *server){
		"buffered": func(s *server) {
			s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndBuffered} }
		},
		"describe fails": func(s *server) { s.lookErr = errors.New("away") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				runHub(t, w.hub)
				w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(12 * time.Second)
				s.set(func(s *server) { s.beatErr = completer.ErrOver; change(s) })
				pass(time.Minute)
				w.wantState(async.Waiting)
				if r := w.record(); r.TokenLostStarted != 0 || r.BeatTries < 3 || r.BeatTries > 30 {
					t.Errorf("it was tried %d times in a minute, and the attempt is taken as lost: %t; want 3 to 30 and false", r.BeatTries, r.TokenLostStarted != 0)
				}
				s.set(func(s *server) {
					s.lookErr, s.describe = nil, func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }
				})
				pass(10 * time.Second)
				w.wantState(async.Closed)
			})
		})
	}
}

// A failed beat is retried soon, with a growing backoff. Another try always
// fits before the timeout.
func TestBackOffOfFailingBeats(t *testing.T) {
	for _, timeout := range []time.Duration{30 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w, s := newBeatWorld(t)
			var at []time.Time
			w.completer.HeartbeatFunc = func(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
				at = append(at, time.Now())
				return completer.Signals{}, errors.New("away")
			}
			runHub(t, w.hub)
			w.startNow(1, timeout, async.StartOptions{}, nil)
			pass(10 * timeout)
			first, last := time.Second, min(time.Minute, timeout/6)
			for i := 1; i < len(at); i++ {
				want := async.Doubled(first, last, i)
				late := longestPoll
				if want*5/4 > store.WatchAhead {
					late = longestIdlePoll
				}
				if gap := at[i].Sub(at[i-1]); gap < want*3/4 || gap > want*5/4+late {
					t.Errorf("timeout %v: try %d comes after %v, want %v, a quarter less or more, and at most %v late", timeout, i, gap, want, late)
				}
			}
			if len(at) < 20 {
				t.Errorf("timeout %v: %d tries in ten timeouts, want more", timeout, len(at))
			}
			if w.record().LastBeat == 0 || s.looked() != len(at) {
				t.Errorf("timeout %v: Temporal was asked for its details %d times in %d tries, want before each: none was sent", timeout, s.looked(), len(at))
			}
			if strings.Count(w.logs.String(), "level=WARN") > int(10*timeout/(10*time.Second)) {
				t.Errorf("timeout %v: a warning more often than every 10 s", timeout)
			}
		})
	}
}
