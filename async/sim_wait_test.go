package async

import (
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// simSilent is the name of a pump that never beats. Only the watch then notices
// the end of an activity whose deadline is far away.
const simSilent = "silent"

type simSilentPump struct{ simPump }

func (simSilentPump) Next(heartbeat.Activity, time.Time) time.Time { return time.Time{} }

// leaveStore sometimes makes the store unreachable for a process that calls
// Start. The outage begins at once, or when the function runs and calls leave.
func (w *simWorld) leaveStore(f *simFrame, at *simAttempt) (leave func()) {
	if w.calm || !w.rng.chance(60) {
		return func() {}
	}
	p := f.p
	d := []time.Duration{time.Second, 7 * time.Second, 2 * time.Minute}[w.rng.n(3)]
	later := w.rng.chance(500)
	leave = func() {
		w.logf("%s: its store is away for %v", p.name, d)
		p.storeAway = time.Now().Add(d)
		// A pause before the last try may have this length.
		const longest = lastStoreRetry + lastStoreRetry/4 + lastStoreRetry
		if d+longest > min(defaultStoreWait, time.Until(at.deadline.Add(-p.skew))/2) {
			f.rough = true
			return
		}
		f.outage = d
	}
	if later {
		return leave
	}
	leave()
	return func() {}
}

// checkWait checks that a short outage of the store costs no attempt.
func (w *simWorld) checkWait(s simStarted, r *record.Record) {
	if s.f.outage == 0 || s.f.rough {
		return
	}
	waits := r != nil && w.actOfRecord(r) == s.at.act && State(r.State) == Waiting && r.Started == s.at.started.UnixNano()
	switch {
	case errors.Is(s.err, errSimAway) && !w.away:
		w.violate("wait", "Start failed (%v), and the store was away for %v only", s.err, s.f.outage)
	case s.err == activity.ErrResultPending && s.asked != "" && waits && r.HandedOffStarted != r.Started:
		w.violate("wait", "a hand-off was not recorded, and the store was away for %v only", s.f.outage)
	default:
		w.hit("any: Start waits for a store that is away")
	}
}

// simBrokenWaits are versions that do not wait for the store, or do not watch
// activities.
var simBrokenWaits = map[string]simBroken{
	"Start that doesn't wait for the store": {by: "wait", options: func(o *Options) { o.StoreWait = -1 }},
	"nothing looked after":                  {by: "G6", options: func(o *Options) { o.WatchInterval = -1 }},
}
