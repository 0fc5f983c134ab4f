package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ProbeOptions configures [Probe].
type ProbeOptions struct {
	// Interval is the time from question to question, at most a third of the
	// heartbeat timeout. Defaults to a third of the heartbeat timeout, at most
	// a minute; without a heartbeat timeout, to a minute.
	Interval time.Duration

	// Timeout bounds one question. The hub gives up after half a claim time at
	// the latest. Defaults to 5 s.
	Timeout time.Duration
}

// Probe asks the outside about its job, and beats where it lives, with the
// details that ask returns, in place of those of Pending.Heartbeat; nil details
// are those sent last. An error that is
// [ErrDead] fails the attempt. After any other error it isn't known how the job
// is: nothing is sent, and ask is called again soon. The heartbeat timeout is
// the patience: if nobody can say for so long that the job lives, the attempt
// times out, and the next one finds the job by what Pending.Remember kept.
//
// ask is called by any number of goroutines, in any process that runs a hub
// with this pump, and may be called twice for one beat. It panics for a nil ask.
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
