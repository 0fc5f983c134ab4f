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
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// detailsWorld is an activity whose heartbeat details come from several sources:
// its function, the external system, and earlier attempts.
type detailsWorld struct {
	t *testing.T
	w *world
	s *server
	p async.Pending[Decision] // set by the first attempt
}

// attempt runs an attempt, whose function calls during.
func (d *detailsWorld) attempt(n int, during func()) {
	d.t.Helper()
	d.w.startNow(n, 30*time.Second, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
		d.p = p
		if during != nil {
			during()
		}
		return nil
	})
}

// heartbeat sends a heartbeat as the external system.
func (d *detailsWorld) heartbeat(details ...any) {
	d.t.Helper()
	wantNil(d.t, d.p.Heartbeat(d.t.Context(), details...))
}

// recorded records details through the SDK, as the function does.
func (d *detailsWorld) recorded(details string) func() { return func() { d.s.record(details) } }

// passes lets time pass, and then lets a hub that does not run in the
// background do everything that is due.
func (d *detailsWorld) passes(t time.Duration) {
	d.t.Helper()
	pass(t)
	d.w.work(d.w.hub)
}

// TestWhichHeartbeatDetailsAreSent: the newest details of all sources reach
// Temporal, and no heartbeat erases details.
func TestWhichHeartbeatDetailsAreSent(t *testing.T) {
	for _, c := range []struct {
		name    string
		pumps   map[string]func(*async.Options) // default: KeepAlive
		hubs    int                             // number of hubs that run in the background
		history func(d *detailsWorld)
		last    string // the details that Temporal has at the end
		said    string // the details of all beats; if empty, they are not checked
	}{
		{
			name: "the function's, by each beat", hubs: 1,
			history: func(d *detailsWorld) {
				d.attempt(1, d.recorded("by the function"))
				pass(25 * time.Second)
			},
			last: "by the function", said: "by the function by the function",
		},
		{
			name: "the function's of the second attempt, not those of the first", hubs: 1,
			history: func(d *detailsWorld) {
				d.attempt(1, d.recorded("by the function"))
				pass(25 * time.Second)
				d.attempt(2, d.recorded("newer"))
				pass(12 * time.Second)
			},
			last: "newer",
		},
		{
			name: "the function's, although another Start of the attempt was done first and beats have begun", hubs: 1,
			history: func(d *detailsWorld) {
				info := attemptNow(1, 30*time.Second)
				start := func(f func()) {
					err := async.StartAttempt(d.t.Context(), d.w.hub, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
						f()
						return nil
					})
					if err != activity.ErrResultPending {
						d.t.Errorf("Start returned %v, not the bare activity.ErrResultPending", err)
					}
				}
				start(func() {
					start(func() {})
					pass(12 * time.Second)
					if len(d.s.taken()) == 0 {
						d.t.Error("no beat although a hand-off was done")
					}
					d.s.record("by the function")
				})
				pass(25 * time.Second)
			},
			last: "by the function",
		},
		{
			name: "the function's, after a beat that failed", hubs: 1,
			history: func(d *detailsWorld) {
				d.attempt(1, d.recorded("by the function"))
				d.s.set(func(s *server) { s.beatErr = errors.New("away") })
				pass(12 * time.Second)
				d.s.set(func(s *server) { s.beatErr = nil })
				pass(15 * time.Second)
				if len(d.s.taken()) == 0 {
					d.t.Error("no beat after one that failed")
				}
			},
			last: "by the function",
		},
		{
			name: "those sent last, by a Heartbeat without details", hubs: 1, pumps: bothPumps,
			history: func(d *detailsWorld) {
				d.attempt(1, d.recorded("by the function"))
				pass(2 * time.Second)
				d.heartbeat()
				pass(2 * time.Second)
				d.heartbeat("50%")
				pass(2 * time.Second)
				d.heartbeat(nil)
				pass(2 * time.Second)
			},
			last: "50%", said: "by the function 50% 50%",
		},
		{
			name: "those of Heartbeat during a slow function, although Start beats afterwards", hubs: 1,
			history: func(d *detailsWorld) {
				d.s.record("of the attempt before")
				d.attempt(1, func() {
					pass(25 * time.Second)
					d.heartbeat("50%")
					pass(25 * time.Second)
				})
				pass(12 * time.Second)
			},
			last: "50%",
		},
		{
			name: "the last of Heartbeat, although the function recorded some in between", hubs: 1,
			history: func(d *detailsWorld) {
				d.attempt(1, func() {
					d.heartbeat("10%")
					pass(time.Second)
					d.s.record("by the function")
					pass(time.Second)
					d.heartbeat("20%")
				})
				pass(12 * time.Second)
			},
			last: "20%",
		},
		{
			name: "the function's, recorded after Heartbeat", hubs: 1,
			history: func(d *detailsWorld) {
				d.attempt(1, func() {
					d.heartbeat("10%")
					pass(time.Second)
					d.s.record("by the function")
				})
				pass(12 * time.Second)
			},
			last: "by the function",
		},
		{
			name: "those of the first attempt, by the second one's first beat", hubs: 1,
			history: func(d *detailsWorld) {
				d.attempt(1, nil)
				d.heartbeat("50%")
				pass(5 * time.Second)
				d.s.set(func(s *server) { s.beats, s.last = nil, time.Time{} })
				d.attempt(2, nil)
				pass(12 * time.Second)
			},
			last: "50%", said: "50%",
		},
		{
			name:    "those of Heartbeat in the second attempt, Temporal's clock being right",
			history: func(d *detailsWorld) { d.heartbeatInBothAttempts(0) },
			last:    "50%", said: "40% 50%",
		},
		{
			name:    "those of Heartbeat in the second attempt, Temporal's clock being a minute ahead",
			history: func(d *detailsWorld) { d.heartbeatInBothAttempts(time.Minute) },
			last:    "50%", said: "40% 50%",
		},
		{
			name:    "those of Heartbeat in the second attempt, Temporal's clock being a minute behind",
			history: func(d *detailsWorld) { d.heartbeatInBothAttempts(-time.Minute) },
			last:    "50%", said: "40% 50%",
		},
		{
			name: "those of Heartbeat during the last beat of an attempt, by the next attempt",
			history: func(d *detailsWorld) {
				d.attempt(1, nil)
				d.heartbeat("40%")
				d.passes(2 * time.Second)
				d.s.slow = 100 * time.Millisecond
				pass(10 * time.Second)
				done := make(chan struct{})
				go func() {
					defer close(done)
					d.w.work(d.w.hub)
				}()
				pass(50 * time.Millisecond)
				d.heartbeat("50%")
				<-done
				d.attempt(2, nil) // this happens before the next beat
				d.passes(10 * time.Second)
			},
			last: "50%", said: "40% 40% 50%",
		},
		{
			name: "those of Heartbeat during a beat, one hub running", hubs: 1, pumps: bothPumps,
			history: (*detailsWorld).heartbeatDuringABeat, last: "newer",
		},
		{
			name: "those of Heartbeat during a beat, another hub running", hubs: 2, pumps: bothPumps,
			history: (*detailsWorld).heartbeatDuringABeat, last: "newer",
		},
		{
			name: "unsent ones of a round that ended because the type changed",
			history: func(d *detailsWorld) {
				d.s.beatErr = completer.ErrOver
				d.attempt(1, nil)
				id := d.p.ID()
				d.heartbeat("40%")
				d.s.beatErr = nil
				d.w.change(func(r *record.Record) { r.ResultType = "another" })
				if d.attempt(2, nil); d.p.ID() == id {
					d.t.Error("the type has changed, and the round has not")
				}
				d.passes(10 * time.Second)
			},
			last: "40%", said: "40%",
		},
		{
			name: "no unsent ones of an earlier attempt before a failure, but the function's newer ones",
			history: func(d *detailsWorld) {
				d.attempt(1, nil)
				d.heartbeat("10%") // no running hub sends the details
				d.attempt(2, d.recorded("by the function"))
				wantNil(d.t, d.p.Fail(d.t.Context(), errors.New("no")))
				d.w.wantSent(1)
				if d.s.made() != 0 {
					d.t.Errorf("%d beats before the outcome, want none", d.s.made())
				}
			},
			last: "by the function",
		},
		{
			name:    "none after a reset that a beat has learned of",
			history: func(d *detailsWorld) { d.reset(1, 2, true, "") },
			last:    "-", said: "40% -",
		},
		{
			name:    "none after a reset to the first attempt",
			history: func(d *detailsWorld) { d.reset(2, 1, false, "") },
			last:    "-", said: "40% -",
		},
		{
			name:    "none after a reset of the first attempt",
			history: func(d *detailsWorld) { d.reset(1, 1, false, "") },
			last:    "-", said: "40% -",
		},
		{
			name:    "those of Heartbeat, unsent at a reset",
			history: func(d *detailsWorld) { d.reset(2, 1, false, "50%") },
			last:    "50%", said: "40% 50%",
		},
		{
			name:    "those sent before, without a reset",
			history: func(d *detailsWorld) { d.reset(1, 2, false, "") },
			last:    "40%", said: "40% 40%",
		},
	} {
		if c.pumps == nil {
			c.pumps = keepAlive
		}
		for pump, change := range c.pumps {
			t.Run(c.name+"/"+pump, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, s := newBeatWorld(t, change)
					for n := range c.hubs {
						h := w.hub
						if n > 0 {
							o := async.Options{Store: w.store, Completer: w.completer}
							change(&o)
							var err error
							h, err = async.New(o)
							wantNil(t, err)
						}
						runHub(t, h)
					}
					c.history(&detailsWorld{t: t, w: w, s: s})
					if s.lastSaid() != c.last {
						t.Errorf("Temporal has %q, want %q; the beats say %q", s.lastSaid(), c.last, s.said())
					}
					if said := s.said(); c.said != "" && said != c.said {
						t.Errorf("the beats say %q, want %q", said, c.said)
					}
				})
			})
		}
	}
}

var (
	keepAlive = map[string]func(*async.Options){"KeepAlive": func(*async.Options) {}}
	bothPumps = map[string]func(*async.Options){"KeepAlive": func(*async.Options) {}, "Relay": relaying}
)

// heartbeatInBothAttempts makes the external system send details in two
// attempts. Temporal's clock is fast by ahead.
func (d *detailsWorld) heartbeatInBothAttempts(ahead time.Duration) {
	d.s.describe = func(s *completer.Status) {
		if !s.LastHeartbeat.IsZero() {
			s.LastHeartbeat = s.LastHeartbeat.Add(ahead)
		}
	}
	d.attempt(1, nil)
	d.heartbeat("40%")
	d.passes(2 * time.Second)
	pass(55 * time.Second)
	d.attempt(2, nil)
	d.heartbeat("50%")
	d.passes(10 * time.Second)
}

// heartbeatDuringABeat makes details arrive while a beat is being sent.
func (d *detailsWorld) heartbeatDuringABeat() {
	d.attempt(1, nil)
	pass(2 * time.Second)
	d.s.set(func(s *server) { s.slow = 4 * time.Second })
	d.heartbeat("older")
	pass(2 * time.Second)
	d.s.set(func(s *server) { s.slow = 0 })
	d.heartbeat("newer")
	pass(7 * time.Second)
	if r := d.w.record(); r.BeatPendingSince != 0 {
		d.t.Error("some details are still to be sent")
	}
}

// reset makes Temporal clear the details between two attempts. If signaled is
// set, a beat learns of the reset. unsent contains details that arrive after
// the last beat.
func (d *detailsWorld) reset(first, second int, signaled bool, unsent string) {
	d.attempt(first, nil)
	d.heartbeat("40%")
	d.s.signals.Reset = signaled
	d.passes(2 * time.Second)
	if d.s.lastSaid() != "40%" {
		d.t.Fatalf("Temporal has %q before the reset, want 40%%", d.s.lastSaid())
	}
	if unsent != "" {
		d.heartbeat(unsent)
	}
	d.s.details, d.s.signals.Reset = nil, false
	d.attempt(second, nil)
	d.passes(10 * time.Second)
}

func TestOversizeHeartbeatChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		wantNil(t, w.open(id).Heartbeat(t.Context(), "50%"))
		before, _ := w.stored()
		err := w.open(id).Heartbeat(t.Context(), strings.Repeat("x", 2<<20))
		wantErr(t, err, async.ErrTooLarge)
		if after, _ := w.stored(); after.Version != before.Version {
			t.Error("details that were refused have changed the entry")
		}
		runHub(t, w.hub)
		pass(12 * time.Second)
		if !strings.HasPrefix(s.said(), "50%") {
			t.Errorf("the beats say %.20q, want 50%%", s.said())
		}
	})
}
