package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

const wrappedLog = "wraps the error that Start returns"

// panicking is a data converter that panics when it decodes.
type panicking struct{ converter.DataConverter }

func (panicking) FromPayload(*commonpb.Payload, any) error { panic("boom") }

// Start notices that the previous attempt failed with
// activity.ErrResultPending, and logs what to do.
func TestStartNoticesAWrappedSentinel(t *testing.T) {
	wrapped := fmt.Errorf("activity Approve: %w", activity.ErrResultPending)
	encoding := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{EncodeCommonAttributes: true})
	for name, c := range map[string]struct {
		last *failurepb.Failure
		want bool
	}{
		"wrapped":         {temporal.GetDefaultFailureConverter().ErrorToFailure(wrapped), true},
		"as text":         {temporal.GetDefaultFailureConverter().ErrorToFailure(errors.New(wrapped.Error())), true},
		"as a cause":      {&failurepb.Failure{Message: "failed", Cause: temporal.GetDefaultFailureConverter().ErrorToFailure(wrapped)}, true},
		"encoded":         {encoding.ErrorToFailure(wrapped), true},
		"another failure": {temporal.GetDefaultFailureConverter().ErrorToFailure(errors.New("no")), false},
		"none":            {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newBeatWorld(t)
			s.describe = func(s *completer.Status) { s.LastFailure = c.last }
			w.start(1, async.StartOptions{})
			if s.looked() != 0 {
				t.Errorf("the first attempt asked Temporal %d times, want never", s.looked())
			}
			w.start(2, async.StartOptions{})
			if got := strings.Contains(w.logs.String(), wrappedLog); got != c.want || s.looked() != 1 {
				t.Errorf("logged: %v after %d questions, want %v after one; the log: %s", got, s.looked(), c.want, w.logs)
			}
			if c.want && !strings.Contains(w.logs.String(), "async.Interceptor()") {
				t.Errorf("the log doesn't name the remedy: %s", w.logs)
			}
		})
	}
}

// If the failure cannot be decoded, Start logs nothing. If Temporal does not
// answer, the attempt is delayed only for a limited time.
func TestStartGoesOnWhereTheLastFailureIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		encoding := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{EncodeCommonAttributes: true})
		w, s := newBeatWorld(t, func(o *async.Options) { o.DataConverter = panicking{converter.GetDefaultDataConverter()} })
		s.describe = func(s *completer.Status) { s.LastFailure = encoding.ErrorToFailure(activity.ErrResultPending) }
		w.start(1, async.StartOptions{})
		w.start(2, async.StartOptions{})
		w.completer.DescribeFunc = func(ctx context.Context, _ completer.Target, _ string) (completer.Status, error) {
			<-ctx.Done()
			return completer.Status{}, ctx.Err()
		}
		before := time.Now()
		w.start(3, async.StartOptions{})
		if took := time.Since(before); took > 2*time.Second {
			t.Errorf("Start took %v while Temporal hangs, want at most 2 s", took)
		}
		if strings.Contains(w.logs.String(), wrappedLog) {
			t.Errorf("the log says what can't be known: %s", w.logs)
		}
	})
}

// The line is logged rarely, because a fleet with a wrong interceptor would
// otherwise write thousands of lines.
func TestWrappedSentinelIsLoggedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		s.describe = func(s *completer.Status) {
			s.LastFailure = &failurepb.Failure{Message: activity.ErrResultPending.Error()}
		}
		for n := 1; n <= 20; n++ {
			w.start(n, async.StartOptions{})
		}
		if n := strings.Count(w.logs.String(), wrappedLog); n != 1 {
			t.Errorf("%d lines at once, want one", n)
		}
		time.Sleep(11 * time.Second)
		w.start(21, async.StartOptions{})
		if n := strings.Count(w.logs.String(), wrappedLog); n != 2 {
			t.Errorf("%d lines after 11 s, want two", n)
		}
	})
}
