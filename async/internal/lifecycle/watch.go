package lifecycle

import (
	"hash/fnv"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// NextLook returns when a hub next checks the run of an activity. The checks of
// a run are interval apart, at an offset that depends on the run's IDs. All
// activities of a run are thus due together and share a call, and different
// runs are spread evenly.
func NextLook(r *record.Record, interval time.Duration, now time.Time) time.Time {
	h := fnv.New64a()
	for _, id := range []string{r.Namespace, r.WorkflowId, r.RunId, r.ActivityRunId} {
		_, _ = h.Write([]byte(id))
		_, _ = h.Write([]byte{0})
	}
	apart := interval.Milliseconds()
	offset := int64(h.Sum64() % uint64(apart))
	passed := (now.UnixMilli() - offset) % apart
	if passed < 0 {
		passed += apart
	}
	return time.UnixMilli(now.UnixMilli() - passed + apart)
}

// PlanQuestion sets when a hub asks whether a waiting activity still exists. A
// hub asks at the next check of the activity's run, or when its deadline passes
// if that is sooner. An activity that heartbeats within the interval needs no
// check, because a heartbeat gives the same information. PlanQuestion changes
// nothing while a question is retried with backoff.
func (p Policy) PlanQuestion(r *record.Record) {
	if p.Watch == 0 || r.State != record.Waiting || r.Questions > 0 || r.Early {
		return
	}
	next, deadline := NextLook(r, p.Watch, p.Now), FromNano(r.Deadline)
	beats := BeatAt(r)
	switch {
	case !deadline.IsZero() && IsDue(deadline, p.Now):
	case !beats.IsZero() && beats.Before(p.Now.Add(p.Watch)), !deadline.IsZero() && deadline.Before(next):
		r.NextQuestion = 0 // at the deadline
	default:
		r.NextQuestion = next.UnixNano()
	}
}

// Answered applies the answer to a question about a waiting activity; nil means
// that Temporal could not be asked. A pause or changed options may have moved
// the deadline.
func (p Policy) Answered(r *record.Record, w *Word) {
	if w != nil && w.Over() {
		p.Close(r, w.EndOfOther())
		return
	}
	exists := w != nil && w.Pending
	if exists {
		p.Signalled(r, w.Signals(r))
	}
	deadline := FromNano(r.Deadline)
	if exists && p.Watch > 0 && (deadline.IsZero() || !IsDue(deadline, p.Now)) {
		r.NextQuestion, r.Questions = 0, 0
		p.PlanQuestion(r)
		return
	}
	last := LastQuestion
	if p.Watch > 0 {
		last = min(last, max(p.Watch, FirstQuestion))
	}
	r.Questions++
	r.NextQuestion = p.Now.Add(p.Jitter(Doubled(FirstQuestion, last, int(r.Questions)))).UnixNano()
}
