package heartbeat

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

const (
	// maxInterval limits how late a hub notices a signal of an activity with a
	// long heartbeat timeout.
	maxInterval = time.Minute

	// coalesce is the time between two beats that Pending.Heartbeat causes.
	coalesce = time.Second
)

// interval returns the time between two beats. The result is the configured
// time, but short enough that the heartbeat timeout leaves time for a retry and
// a failover. Zero means that neither is set.
func interval(set, timeout time.Duration) time.Duration {
	switch {
	case set > 0 && timeout > 0:
		return min(set, timeout/3)
	case set > 0:
		return set
	default:
		return min(timeout/3, maxInterval)
	}
}

// next returns when the next beat is due: every d, or sooner if
// Callback.Heartbeat has stored details.
func next(a Activity, d time.Duration) time.Time {
	var at time.Time
	if d > 0 {
		at = a.LastBeat.Add(d - early(a, d/5))
	}
	if a.Relayed.IsZero() {
		return at
	}
	if relayed := later(a.Relayed, a.LastBeat.Add(coalesce)); at.IsZero() || relayed.Before(at) {
		return relayed
	}
	return at
}

// early distributes activities that began together. The beats of these
// activities come up to d early, by a hash that is the same in every process.
func early(a Activity, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte(a.ID), uint64(a.LastBeat.UnixNano())))
	return time.Duration(mixed(h.Sum64()) % uint64(d))
}

// mixed mixes all bits of a hash, because FNV gives similar values for similar IDs.
func mixed(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
