// Package asynctest helps to test applications that use package async, and
// Latchkey itself, without a Temporal server. docs/testing.md has examples.
//
// # A hub for a test
//
// [NewHub] returns a hub with an in-memory store and a fake of Temporal. The
// hub does not run in the background. Call Hub.Work to retry deliveries and to
// call hooks. [Pending] returns the callbacks that wait for an answer.
//
// # Fakes of Temporal
//
// [Completer] is a fake that records the outcomes. The function fields of a
// [Completer] can make a call fail. [EnvCompleter] delivers to the SDK's test
// environment of a workflow, so that a workflow that waits for days runs in
// milliseconds.
package asynctest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async/completer"
)

// Call is an outcome that a [Completer] has accepted.
type Call struct {
	Target  completer.Target
	Outcome completer.Outcome
}

// Completer is a completer.Completer in memory. Completer accepts the first
// outcome of an attempt. Completer returns completer.ErrOver for a second
// outcome, and for every outcome of an activity that it has seen completed, as
// a server does. (The SDK's own test environment accepts a second outcome
// silently.) Every other call returns the result of its function field, if that
// is set. Completer remembers an outcome that the function accepts.
//
// The zero Completer is ready to use and safe for concurrent use. The function
// fields must not change after the first call. Completer calls its function
// fields without a lock.
type Completer struct {
	CompleteFunc  func(ctx context.Context, t completer.Target, o completer.Outcome) error
	HeartbeatFunc func(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error)
	DescribeFunc  func(ctx context.Context, t completer.Target, mark string) (completer.Status, error)

	mu    sync.Mutex
	calls []*call
}

// call is an outcome that was accepted, or for which CompleteFunc is being
// called. Meanwhile, Completer refuses every other outcome of the same target.
type call struct {
	Call
	taken bool
}

var _ completer.Completer = (*Completer)(nil)

// Complete accepts the outcome.
func (c *Completer) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.over(t) {
		c.mu.Unlock()
		return fmt.Errorf("%w: %v has an outcome", completer.ErrOver, t)
	}
	this := &call{Call: Call{Target: t, Outcome: o}, taken: c.CompleteFunc == nil}
	c.calls = append(c.calls, this)
	c.mu.Unlock()
	if this.taken {
		return nil
	}
	defer func() { // the deferred function also unlocks after a panic
		c.mu.Lock()
		defer c.mu.Unlock()
		if !this.taken {
			c.calls = slices.DeleteFunc(c.calls, func(other *call) bool { return other == this })
		}
	}()
	err := c.CompleteFunc(ctx, t, o)
	c.mu.Lock()
	this.taken = err == nil
	c.mu.Unlock()
	return err
}

// over reports whether an outcome that was accepted earlier has ended the
// target. A retryable failure ends only its attempt; every other outcome ends
// the activity. The caller of over holds mu.
func (c *Completer) over(t completer.Target) bool {
	return slices.ContainsFunc(c.calls, func(call *call) bool {
		return sameActivity(call.Target, t) && (ends(call.Outcome) || call.Target.Started.Equal(t.Started))
	})
}

// ends reports whether an outcome ends the activity, and not only its attempt.
func ends(o completer.Outcome) bool {
	return o.Failure == nil || o.Failure.GetApplicationFailureInfo().GetNonRetryable()
}

func sameActivity(a, b completer.Target) bool {
	return a.Namespace == b.Namespace && a.WorkflowID == b.WorkflowID && a.RunID == b.RunID &&
		a.ActivityID == b.ActivityID && a.ActivityRunID == b.ActivityRunID && a.Scheduled.Equal(b.Scheduled)
}

// Heartbeat returns no signals, or completer.ErrOver if the target has an
// outcome.
func (c *Completer) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	if err := ctx.Err(); err != nil {
		return completer.Signals{}, err
	}
	c.mu.Lock()
	over := c.over(t)
	c.mu.Unlock()
	if over {
		return completer.Signals{}, fmt.Errorf("%w: %v has an outcome", completer.ErrOver, t)
	}
	if c.HeartbeatFunc != nil {
		return c.HeartbeatFunc(ctx, t, details)
	}
	return completer.Signals{}, nil
}

// Describe returns the state that follows from the accepted outcomes. After a
// retryable failure, an attempt is in backoff; any other outcome ends the
// activity.
func (c *Completer) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	if err := ctx.Err(); err != nil {
		return completer.Status{}, err
	}
	if c.DescribeFunc != nil {
		return c.DescribeFunc(ctx, t, mark)
	}
	s := completer.Status{Pending: true, Running: true, Started: t.Started}
	for _, call := range c.Completed() {
		switch {
		case !sameActivity(call.Target, t):
		case ends(call.Outcome):
			s = completer.Status{End: completer.EndOther}
			if mark != "" && call.Outcome.Mark == mark {
				s.End = completer.EndOurs
			}
			return s, nil
		case !call.Target.Started.After(t.Started):
			s.LastMark = call.Outcome.Mark
			s.Running = !call.Target.Started.Equal(t.Started)
		}
	}
	return s, nil
}

// Completed returns the accepted outcomes, the oldest first.
func (c *Completer) Completed() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var taken []Call
	for _, call := range c.calls {
		if call.taken {
			taken = append(taken, call.Call)
		}
	}
	return taken
}
