package lifecycle

import (
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Delays before a retry, and their maximums.
const (
	FirstDelivery = time.Second
	LastDelivery  = 5 * time.Minute
	// LastDeliveryOfHub is the maximum if the delivery failed because of the
	// hub that tried. Another hub must then find the answer due, and so must
	// this hub when its breaker closes.
	LastDeliveryOfHub = 8 * time.Second
	// RefusedAfter is how long other hubs have to deliver an answer before it
	// is reported as refused.
	RefusedAfter    = time.Minute
	RefusedDelivery = 5 * time.Minute // this delay is for causes that an operator must remove first

	FirstQuestion = 5 * time.Second
	LastQuestion  = time.Hour

	FirstNotice = time.Second
	LastNotice  = 10 * time.Minute

	FirstBeatRetry = time.Second
	LastBeatRetry  = time.Minute // used if there is no heartbeat timeout
)

// Doubled returns the delay before a try. The delay begins with first and
// doubles with each try, up to last.
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

// lastDelivery limits how long an outcome waits, because its attempt gets no
// more heartbeats and will time out.
func lastDelivery(r *record.Record, most time.Duration) time.Duration {
	if r.HeartbeatTimeout == 0 {
		return most
	}
	return min(most, max(FirstDelivery, time.Duration(r.HeartbeatTimeout)/3))
}

// BeatRetry returns the delay after a failed beat. The delay leaves enough time
// for one more try.
func BeatRetry(r *record.Record) time.Duration {
	first, last := FirstBeatRetry, LastBeatRetry
	if timeout := time.Duration(r.HeartbeatTimeout); timeout > 0 {
		first, last = min(first, timeout/12), min(last, timeout/6)
	}
	return Doubled(first, last, int(r.BeatTries))
}
