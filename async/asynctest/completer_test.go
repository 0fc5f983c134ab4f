package asynctest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

var started = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// attempt is the n-th attempt of one activity.
func attempt(n int) completer.Target {
	return completer.Target{Namespace: "default", WorkflowID: "w", RunID: "r", ActivityID: "5", Scheduled: started,
		Started: started.Add(time.Duration(n) * time.Minute), TaskToken: []byte{byte(n)}}
}

func result(mark string) completer.Outcome {
	return completer.Outcome{Result: new(commonpb.Payloads), Mark: mark}
}

func failure(retryable bool, mark string) completer.Outcome {
	return completer.Outcome{Mark: mark, Failure: &failurepb.Failure{FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{NonRetryable: !retryable},
	}}}
}

func TestSecondOutcomeIsOver(t *testing.T) {
	ctx := t.Context()
	for name, o := range map[string]completer.Outcome{"result": result("r"), "rejection": failure(false, "f"), "cancellation": {Canceled: new(commonpb.Payloads)}} {
		t.Run(name, func(t *testing.T) {
			var c asynctest.Completer
			if err := c.Complete(ctx, attempt(1), o); err != nil {
				t.Fatalf("the first: %v", err)
			}
			for what, err := range map[string]error{
				"the same":      c.Complete(ctx, attempt(1), o),
				"a later one's": c.Complete(ctx, attempt(2), o),
				"by ID":         c.Complete(ctx, attempt(1).ByID(), o),
			} {
				if !errors.Is(err, completer.ErrOver) {
					t.Errorf("%s: %v, want ErrOver", what, err)
				}
			}
			if _, err := c.Heartbeat(ctx, attempt(1), nil); !errors.Is(err, completer.ErrOver) {
				t.Errorf("a heartbeat: %v, want ErrOver", err)
			}
			if n := len(c.Completed()); n != 1 {
				t.Errorf("%d outcomes were taken, want 1", n)
			}
		})
	}
}

func TestRetryableFailureEndsItsAttempt(t *testing.T) {
	ctx := t.Context()
	var c asynctest.Completer
	if err := c.Complete(ctx, attempt(1), failure(true, "f1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Complete(ctx, attempt(1), failure(true, "f2")); !errors.Is(err, completer.ErrOver) {
		t.Errorf("the attempt took two: %v", err)
	}
	s, err := c.Describe(ctx, attempt(1), "f1")
	if err != nil || !s.Pending || s.Running || s.LastMark != "f1" {
		t.Errorf("described as %+v, %v, want in back-off after f1", s, err)
	}
	if err := c.Complete(ctx, attempt(2), result("r")); err != nil {
		t.Errorf("the next attempt: %v", err)
	}
	for mark, want := range map[string]completer.End{"r": completer.EndOurs, "x": completer.EndOther, "": completer.EndOther} {
		if s, err := c.Describe(ctx, attempt(2), mark); err != nil || s.Pending || s.End != want {
			t.Errorf("described with mark %q as %+v, %v, want end %v", mark, s, err, want)
		}
	}
	other := attempt(1)
	other.ActivityID = "6"
	if s, err := c.Describe(ctx, other, ""); err != nil || !s.Pending || !s.Running {
		t.Errorf("another activity is described as %+v, %v", s, err)
	}
}

func TestFuncsComeFirst(t *testing.T) {
	ctx := t.Context()
	broken := errors.New("broken")
	answer := broken
	c := asynctest.Completer{
		CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error { return answer },
		HeartbeatFunc: func(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
			return completer.Signals{Paused: true}, nil
		},
		DescribeFunc: func(context.Context, completer.Target, string) (completer.Status, error) {
			return completer.Status{LastMark: "f7"}, nil
		},
	}
	if err := c.Complete(ctx, attempt(1), result("r")); err != broken || len(c.Completed()) != 0 {
		t.Errorf("a call that failed: %v, taken %d", err, len(c.Completed()))
	}
	answer = nil
	if err := c.Complete(ctx, attempt(1), result("r")); err != nil || len(c.Completed()) != 1 {
		t.Errorf("one that didn't: %v, taken %d", err, len(c.Completed()))
	}
	if s, _ := c.Heartbeat(ctx, attempt(2), nil); s.Paused {
		t.Error("an activity that is over beats")
	}
	if s, _ := c.Describe(ctx, attempt(1), ""); s.LastMark != "f7" {
		t.Errorf("described as %+v", s)
	}
	var fresh asynctest.Completer
	fresh.HeartbeatFunc = c.HeartbeatFunc
	if s, err := fresh.Heartbeat(ctx, attempt(1), nil); err != nil || !s.Paused {
		t.Errorf("beat: %+v, %v", s, err)
	}
	if s, err := new(asynctest.Completer).Heartbeat(ctx, attempt(1), nil); err != nil || s != (completer.Signals{}) {
		t.Errorf("beat: %+v, %v", s, err)
	}
}

func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var c asynctest.Completer
	_, beat := c.Heartbeat(ctx, attempt(1), nil)
	_, describe := c.Describe(ctx, attempt(1), "")
	for what, err := range map[string]error{"complete": c.Complete(ctx, attempt(1), result("r")), "heartbeat": beat, "describe": describe} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(c.Completed()) != 0 {
		t.Error("it was taken")
	}
}

func TestManyCallers(t *testing.T) {
	for name, f := range map[string]func(context.Context, completer.Target, completer.Outcome) error{
		"plain": nil,
		"func":  func(context.Context, completer.Target, completer.Outcome) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := asynctest.Completer{CompleteFunc: f}
			var taken atomic.Int32
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if c.Complete(t.Context(), attempt(1), result("r")) == nil {
						taken.Add(1)
					}
				})
			}
			wg.Wait()
			if taken.Load() != 1 || len(c.Completed()) != 1 {
				t.Errorf("%d callers were told that theirs was taken, and %d were", taken.Load(), len(c.Completed()))
			}
		})
	}
}
