package async_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// secretText is the value with which application code panics in these tests. No
// error may contain the secret text.
const secretText = "salary 7000"

// Bomb panics when it is encoded.
type Bomb struct{ how func() }

func (b Bomb) MarshalJSON() ([]byte, error) { b.how(); return []byte("{}"), nil }

// Mine panics when it is validated.
type Mine struct{}

func (Mine) Validate() error { panic(secretText) }

// Nameless panics in its ResultType method.
type Nameless struct{}

func (*Nameless) ResultType() string { panic(secretText) }

// mute is an error whose Error method panics.
type mute struct{ is error }

func (mute) Error() string   { panic(secretText) }
func (m mute) Unwrap() error { return m.is }

// puzzled is an error whose Is method panics.
type puzzled struct{}

func (puzzled) Error() string { return "puzzled" }
func (puzzled) Is(error) bool { panic(secretText) }

type panickingConverter struct{ converter.DataConverter }

func (panickingConverter) ToPayload(any) (*commonpb.Payload, error)      { panic(secretText) }
func (panickingConverter) ToPayloads(...any) (*commonpb.Payloads, error) { panic(secretText) }

type panickingFailures struct{ converter.FailureConverter }

func (panickingFailures) ErrorToFailure(error) *failurepb.Failure { panic(secretText) }

func panics() { panic(secretText) }

// A panic of application code becomes an error without the value of the panic.
func TestPanicsAreErrors(t *testing.T) {
	converts := func(o *async.Options) { o.DataConverter = panickingConverter{converter.GetDefaultDataConverter()} }
	for name, c := range map[string]struct {
		do     func(w *world) error
		want   error
		change func(*async.Options)
	}{
		"MarshalJSON of a result": {func(w *world) error { return pend[Bomb](t, w).Complete(t.Context(), Bomb{panics}) }, async.ErrInvalidResult, nil},
		"MarshalJSON of a detail": {func(w *world) error { return pend[Decision](t, w).Heartbeat(t.Context(), Bomb{panics}) }, nil, nil},
		"MarshalJSON, canceled":   {func(w *world) error { return pend[Decision](t, w).ReportCanceled(t.Context(), Bomb{panics}) }, async.ErrInvalidResult, nil},
		"MarshalJSON in a failure": {func(w *world) error {
			return pend[Decision](t, w).Fail(t.Context(), temporal.NewApplicationError("no", "No", Bomb{panics}))
		}, async.ErrInvalidFailure, nil},
		"Validate":   {func(w *world) error { return pend[Mine](t, w).Complete(t.Context(), Mine{}) }, async.ErrInvalidResult, nil},
		"ResultType": {func(w *world) error { _, err := async.Open[Nameless](t.Context(), w.hub, "x"); return err }, async.ErrTypeMismatch, nil},
		"Error":      {func(w *world) error { return pend[Decision](t, w).Fail(t.Context(), mute{}) }, async.ErrInvalidFailure, nil},
		"Error of a cause": {func(w *world) error {
			return pend[Decision](t, w).Reject(t.Context(), temporal.NewApplicationErrorWithCause("no", "No", mute{}))
		}, async.ErrInvalidFailure, nil},
		"data converter":    {func(w *world) error { return pend[Decision](t, w).Complete(t.Context(), Decision{}) }, nil, converts},
		"failure converter": {func(w *world) error { return pend[Decision](t, w).Fail(t.Context(), errors.New("no")) }, nil, func(o *async.Options) { o.FailureConverter = panickingFailures{temporal.GetDefaultFailureConverter()} }},
	} {
		t.Run(name, func(t *testing.T) {
			var changes []func(*async.Options)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			w := newWorld(t, changes...)
			w.completer.DescribeFunc = cancelRequested
			err := c.do(w)
			if err == nil {
				t.Fatal("accepted")
			}
			if c.want != nil {
				wantErr(t, err, c.want)
			}
			if !strings.Contains(err.Error(), "panicked with a value of type string") || strings.Contains(err.Error()+w.logs.String(), secretText) {
				t.Errorf("the error is %q, want one that says which call panicked, and not with what", err)
			}
			w.wantSent(0)
		})
	}
}

// An error whose Is method panics is treated like other failures.
func TestErrorThatPanicsInIs(t *testing.T) {
	w := newWorld(t)
	wantNil(t, pend[Decision](t, w).Reject(t.Context(), puzzled{}))
	if f := w.wantSent(1)[0].Outcome.Failure; f.GetMessage() != "puzzled" {
		t.Errorf("sent %v", f)
	}
}

// If the details of a probe panic or end their goroutine, only the details are
// lost. The process continues, and the beat carries the earlier details.
func TestProbesDetailsPanic(t *testing.T) {
	for name, how := range map[string]func(){"panic": panics, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				var bad atomic.Bool
				w, s := newBeatWorld(t, probing(5*time.Second, func(context.Context, heartbeat.Activity) (any, error) {
					if bad.Load() {
						return Bomb{how}, nil
					}
					return "half", nil
				}))
				runHub(t, w.hub)
				w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
				pass(10 * time.Second)
				bad.Store(true)
				n := s.made()
				pass(20 * time.Second)
				if name == "panic" && (s.made() <= n || s.lastSaid() != "half") {
					t.Errorf("%d beats while the details panic, the last says %q, want some, with the details before", s.made()-n, s.lastSaid())
				}
				bad.Store(false)
				n = s.made()
				pass(20 * time.Second)
				if s.made() == n {
					t.Error("no beat although the probe is well again")
				}
				if strings.Contains(w.logs.String(), secretText) {
					t.Error("the log has what was panicked with")
				}
			})
		})
	}
}

// A probe that reports a dead job fails the attempt, even if the text of its
// error cannot be read.
func TestDeadJobWithoutText(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := newBeatWorld(t, probing(5*time.Second, func(context.Context, heartbeat.Activity) (any, error) {
			return nil, mute{heartbeat.ErrDead}
		}))
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(10 * time.Second)
		f := w.wantSent(1)[0].Outcome.Failure
		if f.GetApplicationFailureInfo().GetType() != heartbeat.JobDead || !strings.Contains(f.GetMessage(), "panicked") || strings.Contains(f.GetMessage(), secretText) {
			t.Errorf("the attempt failed with %v, want a %s that says that its text panicked", f, heartbeat.JobDead)
		}
	})
}

// A hook whose error cannot be read is retried like a hook with any other
// error.
func TestHookErrorsThatPanic(t *testing.T) {
	for name, bad := range map[string]error{"Error": mute{}, "Is": puzzled{}} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				calls := 0
				w := newWorld(t, func(o *async.Options) {
					o.Hooks.Delivered = func(context.Context, async.Callback) error {
						if calls++; calls == 1 {
							return bad
						}
						return nil
					}
				})
				runHub(t, w.hub)
				p := w.pendFor(time.Hour, async.StartOptions{})
				wantNil(t, p.Complete(t.Context(), Decision{}))
				pass(time.Minute)
				if calls != 2 {
					t.Errorf("the hook was called %d times, want twice", calls)
				}
			})
		})
	}
}

// TestOneGuard checks that only guard.go recovers from panics, so that every
// call of application code goes through it.
func TestOneGuard(t *testing.T) {
	files, err := filepath.Glob("*.go")
	wantNil(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		wantNil(t, err)
		if f != "guard.go" && !strings.HasSuffix(f, "_test.go") && strings.Contains(string(text), "recover()") {
			t.Errorf("%s recovers: leave that to guard.go", f)
		}
	}
}
