package heartbeat

import (
	"context"
	"time"
)

// KeepAliveOptions configures [KeepAlive].
type KeepAliveOptions struct {
	// Interval is the time between two heartbeats, at most a third of the
	// heartbeat timeout. If Interval is set, an activity without a heartbeat
	// timeout heartbeats too, to learn of cancellation. Defaults to a third of
	// the heartbeat timeout, at most a minute. Without a heartbeat timeout, the
	// default is no heartbeats.
	Interval time.Duration
}

// KeepAlive heartbeats as long as an activity waits and a hub runs. KeepAlive
// does not ask whether the external system still works. From the heartbeats,
// Temporal learns that Latchkey runs, and Latchkey learns of cancellation,
// pause, reset and the end.
//
// Heartbeats are up to a fifth of the interval early, so that activities that
// began together do not heartbeat together.
func KeepAlive(o KeepAliveOptions) Pump { return keepAlive{o} }

type keepAlive struct{ o KeepAliveOptions }

func (p keepAlive) Next(a Activity, _ time.Time) time.Time {
	return next(a, interval(p.o.Interval, a.Timeout))
}

func (keepAlive) Asks() bool { return false }

func (keepAlive) Beat(context.Context, Activity) (Beat, error) { return Beat{}, nil }
