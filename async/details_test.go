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
)

// What the function recorded through the SDK, or an earlier attempt did, is
// sent again, and not erased.
func TestServersDetailsAreAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			s.record("by the function")
			return nil
		})
		pass(25 * time.Second)
		if said := s.said(); said != "by the function by the function" {
			t.Errorf("two beats say %q, want what the function recorded in each", said)
		}
		// The next attempt's function records something newer.
		w.startNow(2, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			s.record("newer")
			return nil
		})
		pass(12 * time.Second)
		if s.lastSaid() != "newer" {
			t.Errorf("the second attempt's beat says %q, want what its function recorded", s.lastSaid())
		}
	})
}

// So is what it records while the heartbeats are the hub's already, since another
// call of Start for the same attempt was done first.
func TestDetailsOfASlowerStartAreAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		info := attemptNow(1, 30*time.Second)
		start := func(f func(context.Context, async.Pending[Decision]) error) {
			if err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, f); err != activity.ErrResultPending {
				t.Errorf("Start returned %v, not the bare activity.ErrResultPending", err)
			}
		}
		start(func(context.Context, async.Pending[Decision]) error {
			start(func(context.Context, async.Pending[Decision]) error { return nil })
			pass(12 * time.Second)
			if len(s.taken()) == 0 {
				t.Error("no beat although the outside was asked")
			}
			s.record("by the function")
			return nil
		})
		pass(25 * time.Second)
		if s.lastSaid() != "by the function" {
			t.Errorf("the beats say %q, the last not what the function recorded", s.said())
		}
	})
}

// The details adopted survive a beat that fails.
func TestAdoptedDetailsSurviveAFailedBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			s.record("by the function")
			return nil
		})
		s.set(func(s *server) { s.beatErr = errors.New("away") })
		pass(12 * time.Second)
		s.set(func(s *server) { s.beatErr = nil })
		pass(15 * time.Second)
		if n := len(s.taken()); n == 0 || s.lastSaid() != "by the function" {
			t.Errorf("%d beats after one that failed leave %q at Temporal, want what the function recorded", n, s.lastSaid())
		}
	})
}

// A Heartbeat without details says only that the outside works.
func TestHeartbeatWithoutDetailsErasesNone(t *testing.T) {
	for name, pump := range map[string]func(*async.Options){"KeepAlive": func(*async.Options) {}, "Relay": relaying} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, pump)
				runHub(t, w.hub)
				id := w.startNow(1, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
					s.record("by the function")
					return nil
				})
				pass(2 * time.Second)
				wantNil(t, w.open(id).Heartbeat(t.Context()))
				pass(2 * time.Second)
				if said := s.said(); said != "by the function" {
					t.Errorf("the beat says %q, want what the function recorded", said)
				}
				wantNil(t, w.open(id).Heartbeat(t.Context(), "50%"))
				pass(2 * time.Second)
				wantNil(t, w.open(id).Heartbeat(t.Context(), nil))
				pass(2 * time.Second)
				if said := s.said(); said != "by the function 50% 50%" {
					t.Errorf("the beats say %q, want the details sent last again", said)
				}
			})
		})
	}
}

// What the outside brings stays newer than what the server has, also where
// Start has beaten after it with the server's own.
func TestBroughtDuringASlowFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		s.record("of the attempt before")
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			pass(25 * time.Second)
			wantNil(t, p.Heartbeat(ctx, "50%"))
			pass(25 * time.Second) // Start beats meanwhile
			return nil
		})
		pass(12 * time.Second)
		if s.lastSaid() != "50%" {
			t.Errorf("Temporal has %q, want what the outside brought: said was %q", s.lastSaid(), s.said())
		}
	})
}

// Of what the outside brings, the last counts, whenever the server got
// something in between.
func TestLastBroughtWinsOverTheServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			wantNil(t, p.Heartbeat(ctx, "10%"))
			pass(time.Second)
			s.record("by the function")
			pass(time.Second)
			wantNil(t, p.Heartbeat(ctx, "20%"))
			return nil
		})
		pass(12 * time.Second)
		if s.lastSaid() != "20%" {
			t.Errorf("Temporal has %q, want what the outside brought last", s.lastSaid())
		}
	})
}

// What the function records after the outside has brought something is newer.
func TestFunctionsDetailsWinOverOlderBrought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			wantNil(t, p.Heartbeat(ctx, "10%"))
			pass(time.Second)
			s.record("by the function")
			return nil
		})
		pass(12 * time.Second)
		if s.lastSaid() != "by the function" {
			t.Errorf("Temporal has %q, want what the function recorded last", s.lastSaid())
		}
	})
}

// The next attempt resumes from the details sent last, and goes on with them.
func TestDetailsReachTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		id := w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		wantNil(t, w.open(id).Heartbeat(t.Context(), "50%"))
		pass(5 * time.Second)
		s.set(func(s *server) { s.beats, s.last = nil, time.Time{} })
		w.startNow(2, 30*time.Second, async.StartOptions{}, nil)
		pass(12 * time.Second)
		if said := s.said(); said != "50%" {
			t.Errorf("the second attempt's first beat says %q, want 50%%", said)
		}
	})
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

// Heartbeats of the outside less than a second apart are sent together, those
// of one instant at once.
func TestCoalescing(t *testing.T) {
	for name, pump := range map[string]func(*async.Options){"KeepAlive": func(*async.Options) {}, "Relay": relaying} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, pump)
				runHub(t, w.hub)
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				pass(3 * time.Second)
				began := time.Now()
				for n := range 40 {
					wantNil(t, p.Heartbeat(t.Context(), n))
					pass(100 * time.Millisecond)
				}
				pass(3 * time.Second)
				beats := s.taken()
				if len(beats) < 3 || len(beats) > 6 {
					t.Errorf("40 calls in 4 s were sent in %d beats, want one a second", len(beats))
				}
				if beats[0].at != began || beats[0].details != "0" {
					t.Errorf("the first was sent %v after it came, want at once", beats[0].at.Sub(began))
				}
				for i := 1; i < len(beats); i++ {
					if gap := beats[i].at.Sub(beats[i-1].at); gap < time.Second {
						t.Errorf("two beats are %v apart, want a second at least", gap)
					}
				}
				if s.lastSaid() != "39" {
					t.Errorf("Temporal has %q, want the last of 40, 39", s.lastSaid())
				}
				if r := w.record(); r.BeatPendingSince != 0 {
					t.Error("something is still to be sent")
				}
			})
		})
	}
}

// What comes while a beat is under way is sent after it, and stands in the end,
// although another takes the entry meanwhile.
func TestHeartbeatDuringABeat(t *testing.T) {
	for name, pump := range map[string]func(*async.Options){"KeepAlive": func(*async.Options) {}, "Relay": relaying} {
		for _, hubs := range []int{1, 2} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, s := newBeatWorld(t, pump)
					p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
					runHub(t, w.hub)
					if hubs == 2 {
						o := async.Options{Store: w.store, Completer: w.completer}
						pump(&o)
						other, err := async.New(o)
						wantNil(t, err)
						runHub(t, other)
					}
					pass(2 * time.Second)
					s.set(func(s *server) { s.slow = 4 * time.Second })
					wantNil(t, p.Heartbeat(t.Context(), "older"))
					pass(2 * time.Second)
					s.set(func(s *server) { s.slow = 0 })
					wantNil(t, p.Heartbeat(t.Context(), "newer"))
					pass(7 * time.Second)
					if s.lastSaid() != "newer" {
						t.Errorf("Temporal has %q, want what was brought last: said was %q", s.lastSaid(), s.said())
					}
					if r := w.record(); r.BeatPendingSince != 0 {
						t.Error("something is still to be sent")
					}
				})
			})
		}
	}
}
