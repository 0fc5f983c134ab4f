package heartbeat

import (
	"context"
	"time"
)

// RelayOptions configures [Relay].
type RelayOptions struct {
	// MinInterval is the least time from beat to beat; what the outside brings
	// meanwhile is coalesced, and the last of it sent. At most a third of the
	// heartbeat timeout. Defaults to 1 s.
	MinInterval time.Duration
}

// Relay beats only when the outside does, by Pending.Heartbeat: an outside that
// falls silent for the heartbeat timeout ends the attempt.
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
