package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ProbeOptions configures [Probe].
type ProbeOptions struct {
	// Interval is the time between two calls of ask, at most a third of the
	// heartbeat timeout. Defaults to a third of the heartbeat timeout, at most
	// a minute. Without a heartbeat timeout, the default is a minute.
	Interval time.Duration

	// Timeout is the maximum duration of a call of ask, at most half a claim
	// time of the hub. Defaults to 5 s.
	Timeout time.Duration
}

// Probe asks the external system about its job and heartbeats as long as the
// job lives. The details that ask returns replace those of Callback.Heartbeat;
// nil details repeat the last ones.
//
// If ask returns [ErrDead], the attempt fails. After any other error the state
// of the job is unknown: nothing is sent, and ask is called again soon. If that
// continues for the heartbeat timeout, Temporal times the attempt out. The next
// attempt finds the job by the reference that Pending.Remember stored.
//
// ask must be safe for concurrent use. Any process that runs a hub with this
// pump may call ask, possibly twice for one heartbeat. Probe panics if ask is
// nil.
func Probe(ask func(ctx context.Context, a Activity) (details any, err error), o ProbeOptions) Pump {
	if ask == nil {
		panic("heartbeat: Probe with a nil ask")
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	return probe{ask, o}
}

type probe struct {
	ask func(ctx context.Context, a Activity) (any, error)
	o   ProbeOptions
}

func (p probe) Next(a Activity, _ time.Time) time.Time {
	d := interval(p.o.Interval, a.Timeout)
	if d == 0 {
		d = maxInterval
	}
	return next(a, d)
}

func (p probe) Beat(ctx context.Context, a Activity) (Beat, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.o.Timeout, errors.New("heartbeat: the probe had no answer in time"))
	defer cancel()
	details, err := p.ask(ctx, a)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, ErrDead) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return Beat{}, err
	}
	return Beat{Details: details}, nil
}
