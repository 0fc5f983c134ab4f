package async_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/heartbeat"
)

func alive(int) (any, error) { return "alive", nil }

// If a probe reports a dead job, the attempt fails with a retryable failure.
func TestJobDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := &prober{answer: alive}
		w, s := newBeatWorld(t, probing(5*time.Second, job.ask))
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(8 * time.Second)
		job.set(func(int) (any, error) { return nil, fmt.Errorf("job 42 exited with 1: %w", heartbeat.ErrDead) })
		pass(8 * time.Second)
		f := w.wantSent(1)[0].Outcome.Failure
		if info := f.GetApplicationFailureInfo(); info.GetType() != heartbeat.JobDead || info.GetNonRetryable() {
			t.Errorf("the failure is of type %q and not retryable: %t, want JobDead, retryable", info.GetType(), info.GetNonRetryable())
		}
		if f.GetMessage() != "job 42 exited with 1: heartbeat: the external job is dead" {
			t.Errorf("the failure says %q, want what the probe said", f.GetMessage())
		}
		w.wantState(async.Closed)
		beats, asked := len(s.taken()), len(job.times())
		pass(time.Minute)
		if len(s.taken()) != beats || len(job.times()) != asked {
			t.Error("the probe was asked, or a beat sent, after the job was dead")
		}
	})
}

// The probe's answer about one attempt does not apply to the next attempt.
func TestJobDeadOfAnEarlierAttempt(t *testing.T) {
	for name, next := range map[string]func(w *world){
		"asked again":  func(w *world) { w.startNow(2, 30*time.Second, async.StartOptions{}, nil) },
		"answered":     func(w *world) { wantNil(w.t, w.open(async.CallbackID(w.stored())).Complete(w.t.Context(), Decision{})) },
		"being asked":  nil,
		"not the next": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answer := make(chan struct{})
				job := &prober{answer: func(n int) (any, error) {
					if n > 1 {
						return nil, nil
					}
					<-answer
					return nil, heartbeat.ErrDead
				}}
				w, _ := newBeatWorld(t, probing(5*time.Second, job.ask))
				runHub(t, w.hub)
				w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(7 * time.Second)
				if n := len(job.times()); n != 1 {
					t.Fatalf("the probe was asked %d times, want once by now", n)
				}
				if next != nil {
					next(w)
					close(answer)
					pass(3 * time.Second)
				} else {
					w.startNow(2, 30*time.Second, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
						close(answer)
						pass(3 * time.Second)
						return nil
					})
				}
				failures := 0
				for _, c := range w.completer.Completed() {
					if c.Outcome.Failure != nil {
						failures++
					}
				}
				if want := map[bool]int{true: 1}[name == "not the next"]; failures != want {
					t.Errorf("%d failures were sent, want %d", failures, want)
				}
			})
		})
	}
}

// If a probe does not know the state, no beat is sent, and the probe is asked
// again soon.
func TestProbeDoesNotKnow(t *testing.T) {
	for name, answer := range map[string]func(int) (any, error){
		"error": func(int) (any, error) { return "details", errors.New("connection refused") },
		"panic": func(int) (any, error) { panic("the probe panicked") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				job := &prober{answer: answer}
				w, s := newBeatWorld(t, probing(0, job.ask))
				runHub(t, w.hub)
				w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(30 * time.Second)
				if s.made() != 0 {
					t.Errorf("%d beats although nobody knows how the job is, want none", s.made())
				}
				if n := len(job.times()); n < 5 || n > 12 {
					t.Errorf("the probe was asked %d times within the heartbeat timeout, want 5 to 12", n)
				}
				w.wantState(async.Waiting)
				w.wantSent(0)
				job.set(alive)
				pass(8 * time.Second)
				if s.lastSaid() != "alive" {
					t.Error("no beat once the probe knows")
				}
				began := len(s.taken())
				pass(time.Minute)
				if n := len(s.taken()) - began; n < 5 || n > 8 {
					t.Errorf("%d beats in the minute after, want one every 8 to 11.25 s again", n)
				}
			})
		})
	}
}

// A hanging probe does not delay the beats of other activities, with the same
// probe or with another pump.
func TestHangingProbe(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		t.Run(fmt.Sprintf("obeys its context %t", obeys), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				w, s := newBeatWorld(t, func(o *async.Options) {
					o.Concurrency = 4
					o.Pumps = map[string]heartbeat.Pump{"probe": heartbeat.Probe(func(ctx context.Context, a heartbeat.Activity) (any, error) {
						if a.Labels["job"] != "hangs" {
							return nil, nil
						}
						if obeys {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						<-release
						return nil, nil
					}, heartbeat.ProbeOptions{})}
				})
				for n := range 20 {
					w.startOther(n, 30*time.Second, async.StartOptions{Pump: "probe", Labels: map[string]string{"job": "hangs"}})
				}
				for n := range 5 {
					w.startOther(100+n, 30*time.Second, async.StartOptions{Pump: "probe"})
					w.startOther(200+n, 30*time.Second, async.StartOptions{})
				}
				stop := runHub(t, w.hub)
				pass(5 * time.Minute)
				last := make(map[string]time.Time)
				for _, b := range s.taken() {
					if before, ok := last[b.token]; ok && b.at.Sub(before) > 30*time.Second {
						t.Errorf("%s: two beats are %v apart, with a heartbeat timeout of 30 s", b.token, b.at.Sub(before))
					}
					last[b.token] = b.at
				}
				if len(last) != 10 {
					t.Errorf("%d activities were kept alive, want the ten whose jobs answer", len(last))
				}
				for token, at := range last {
					if d := time.Since(at); d > 30*time.Second {
						t.Errorf("%s: the last beat was %v ago", token, d)
					}
				}
				began := time.Now()
				stop()
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("Run took %v to stop, want no more than it takes to give up", took)
				}
				close(release)
			})
		})
	}
}

// If many probes hang, activities with other pumps still get their beats.
func TestManyHangingProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) {
			o.Concurrency = 4
			o.Pumps = map[string]heartbeat.Pump{"probe": heartbeat.Probe(func(ctx context.Context, _ heartbeat.Activity) (any, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}, heartbeat.ProbeOptions{})}
		})
		for n := range 300 {
			w.startOther(n, 30*time.Second, async.StartOptions{Pump: "probe"})
		}
		for n := range 5 {
			w.startOther(300+n, 30*time.Second, async.StartOptions{})
		}
		began := time.Now()
		runHub(t, w.hub)
		pass(3 * time.Minute)
		last := make(map[string]time.Time)
		for _, b := range s.taken() {
			before, ok := last[b.token]
			if !ok {
				before = began
			}
			if gap := b.at.Sub(before); gap > 20*time.Second {
				t.Errorf("%s: two beats are %v apart, with a heartbeat timeout of 30 s", b.token, gap)
			}
			last[b.token] = b.at
		}
		if len(last) != 5 {
			t.Errorf("%d activities were kept alive, want the five with another pump", len(last))
		}
	})
}
