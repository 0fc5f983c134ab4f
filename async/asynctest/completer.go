// Package asynctest helps to test applications that use package async, and
// Latchkey itself, without a Temporal server.
package asynctest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async/completer"
)

// Call is an outcome that a [Completer] has taken.
type Call struct {
	Target  completer.Target
	Outcome completer.Outcome
}

// Completer is a completer.Completer in memory. It takes every first outcome of
// an attempt and answers a second one, and one for an activity that it has
// seen completed, with completer.ErrOver, as a server does; the SDK's own test
// environment takes it and says nothing. What a func of its own answers comes
// first, and is remembered where it is nil.
//
// The zero Completer is ready. It may be used by any number of goroutines; its
// funcs must not be changed once it is, and are called without a lock.
type Completer struct {
	CompleteFunc  func(ctx context.Context, t completer.Target, o completer.Outcome) error
	HeartbeatFunc func(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error)
	DescribeFunc  func(ctx context.Context, t completer.Target, mark string) (completer.Status, error)

	mu    sync.Mutex
	calls []*call
}

// call is one that was taken, or that CompleteFunc is asked about just now: no
// other is let through beside it.
type call struct {
	Call
	taken bool
}

var _ completer.Completer = (*Completer)(nil)

// Complete takes the outcome.
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
	defer func() { // also where it panics
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

// over reports whether the target has ended by what was taken before: its
// activity by anything but a retryable failure, its attempt by that too. It is
// called with mu held.
func (c *Completer) over(t completer.Target) bool {
	return slices.ContainsFunc(c.calls, func(call *call) bool {
		return sameActivity(call.Target, t) && (ends(call.Outcome) || call.Target.Started.Equal(t.Started))
	})
}

// ends reports whether an outcome ends the activity, and not only an attempt.
func ends(o completer.Outcome) bool {
	return o.Failure == nil || o.Failure.GetApplicationFailureInfo().GetNonRetryable()
}

func sameActivity(a, b completer.Target) bool {
	return a.Namespace == b.Namespace && a.WorkflowID == b.WorkflowID && a.RunID == b.RunID &&
		a.ActivityID == b.ActivityID && a.ActivityRunID == b.ActivityRunID && a.Scheduled.Equal(b.Scheduled)
}

// Heartbeat says that nothing is the matter, or completer.ErrOver where the
// target has an outcome.
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

// Describe tells of the activity what follows from the outcomes taken: it ends
// with anything but a retryable failure, and another attempt is in back-off
// after such a one.
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

// Completed returns what was taken, oldest first.
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
