package heartbeat

import (
	"context"
	"time"
)

// KeepAliveOptions configures [KeepAlive].
type KeepAliveOptions struct {
	// Interval is the time from beat to beat, at most a third of the heartbeat
	// timeout. Set, it also beats where there is no heartbeat timeout: a slow
	// watch, which learns of a cancellation. Defaults to a third of the
	// heartbeat timeout, at most a minute; without a heartbeat timeout, to no
	// beats.
	Interval time.Duration
}

// KeepAlive beats for as long as an activity waits and some hub runs. It says
// nothing of whether the outside still works: Temporal learns that Latchkey
// does, and Latchkey of cancellation, pause, reset and the end.
//
// Beats are up to a fifth of the interval early, so that what began together
// doesn't stay together.
func KeepAlive(o KeepAliveOptions) Pump { return keepAlive{o} }

type keepAlive struct{ o KeepAliveOptions }

func (p keepAlive) Next(a Activity, _ time.Time) time.Time {
	return next(a, interval(p.o.Interval, a.Timeout))
}

func (keepAlive) Asks() bool { return false }

func (keepAlive) Beat(context.Context, Activity) (Beat, error) { return Beat{}, nil }
