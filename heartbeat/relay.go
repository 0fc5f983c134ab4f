package heartbeat

import (
	"context"
	"time"
)

// RelayOptions configures [Relay].
type RelayOptions struct {
	// MinInterval is the least time between two heartbeats. Calls of
	// Callback.Heartbeat in that time are sent together, with the details of
	// the last call. MinInterval is at most a third of the heartbeat timeout.
	// Defaults to 1 s.
	MinInterval time.Duration
}

// Relay heartbeats only when the external system calls Callback.Heartbeat. If
// the external system is silent for the heartbeat timeout, Temporal times the
// attempt out.
func Relay(o RelayOptions) Pump {
	if o.MinInterval <= 0 {
		o.MinInterval = coalesce
	}
	return relay{o}
}

type relay struct{ o RelayOptions }

func (p relay) Next(a Activity, _ time.Time) time.Time {
	if a.Relayed.IsZero() {
		return time.Time{}
	}
	return later(a.Relayed, a.LastBeat.Add(interval(p.o.MinInterval, a.Timeout)))
}

func (relay) Asks() bool { return false }

func (relay) Beat(context.Context, Activity) (Beat, error) { return Beat{}, nil }
