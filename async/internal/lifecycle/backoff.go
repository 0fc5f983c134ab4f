package lifecycle

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// How soon something is tried again, and how late at most.
const (
	FirstDelivery = time.Second
	LastDelivery  = 5 * time.Minute
	// LastDeliveryOfHub is where the hub that tried is the cause: another one must
	// find the answer due, and so must this one when its breaker closes.
	LastDeliveryOfHub = 8 * time.Second
	// RefusedAfter is how long hubs that Temporal doesn't refuse have to deliver an
	// answer before it is reported as refused.
	RefusedAfter    = time.Minute
	RefusedDelivery = 5 * time.Minute // for what an operator has to mend first

	FirstQuestion = 5 * time.Second
	LastQuestion  = time.Hour

	FirstNotice = time.Second
	LastNotice  = 10 * time.Minute

	FirstBeatRetry = time.Second
	LastBeatRetry  = time.Minute // where there is no heartbeat timeout
)

// Doubled doubles from try to try, from first at the first one, up to last.
func Doubled(first, last time.Duration, tries int) time.Duration {
	d := first
	for range tries - 1 {
		if d >= last/2 {
			return last
		}
		d *= 2
	}
	return d
}

// lastDelivery bounds how long an outcome waits while its attempt, which no hub
// keeps alive any more, times out.
func lastDelivery(r *record.Record, most time.Duration) time.Duration {
	if r.HeartbeatTimeout == 0 {
		return most
	}
	return min(most, max(FirstDelivery, time.Duration(r.HeartbeatTimeout)/3))
}

// BeatRetry is how long after a beat that wasn't sent it is tried again: soon
// enough that there is time for one more.
func BeatRetry(r *record.Record) time.Duration {
	first, last := FirstBeatRetry, LastBeatRetry
	if timeout := time.Duration(r.HeartbeatTimeout); timeout > 0 {
		first, last = min(first, timeout/12), min(last, timeout/6)
	}
	return Doubled(first, last, int(r.BeatTries))
}
