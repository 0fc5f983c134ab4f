package heartbeat

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

const (
	// maxInterval bounds how late a signal is learned of an activity with a
	// long heartbeat timeout.
	maxInterval = time.Minute

	// coalesce is how far apart those beats are that Pending.Heartbeat brings
	// about.
	coalesce = time.Second
)

// interval is how far apart beats are: as set, but never so far that the
// heartbeat timeout leaves no room for a retry and a fail-over. Zero means that
// there is neither.
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

// next is when a beat is due that comes every d, or sooner if Callback.Heartbeat
// has brought details.
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

// early spreads what began together: beats come up to d early, by what looks
// like chance and is the same in every process.
func early(a Activity, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte(a.ID), uint64(a.LastBeat.UnixNano())))
	return time.Duration(mixed(h.Sum64()) % uint64(d))
}

// mixed makes every bit depend on every other: FNV's are close together for
// IDs that are.
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
