package async

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

const (
	defaultWatch = time.Hour
	minWatch     = time.Second
	maxWatch     = 365 * 24 * time.Hour
)

// watch says when hubs ask whether activities still exist that nothing else
// would tell them of. The zero watch is off.
type watch struct{ interval time.Duration }

// newWatch checks Options.WatchInterval.
func newWatch(interval time.Duration) (watch, error) {
	switch {
	case interval == 0:
		return watch{defaultWatch}, nil
	case interval < 0:
		return watch{}, nil
	case interval < minWatch || interval > maxWatch:
		return watch{}, fmt.Errorf("async: Options.WatchInterval must be between %v and %v, or negative to turn the watch off, got %v", minWatch, maxWatch, interval)
	}
	return watch{interval}, nil
}

// next returns when the hub looks at an activity's run next. The looks at a run
// are interval apart and at an offset that its IDs decide. So all activities of
// a run are due together and share a call, and runs are spread evenly.
func (w watch) next(r *record.Record, now time.Time) time.Time {
	h := fnv.New64a()
	for _, id := range []string{r.Namespace, r.WorkflowId, r.RunId, r.ActivityRunId} {
		_, _ = h.Write([]byte(id))
		_, _ = h.Write([]byte{0})
	}
	interval := w.interval.Milliseconds()
	offset := int64(h.Sum64() % uint64(interval))
	passed := (now.UnixMilli() - offset) % interval
	if passed < 0 {
		passed += interval
	}
	return time.UnixMilli(now.UnixMilli() - passed + interval)
}

// planQuestion sets when the hub asks whether a waiting activity still exists: with
// the next look at its run, or when its deadline passes if that is sooner. An
// activity that beats needs no watch, since a beat tells the same. It changes
// nothing while a question is repeated with backoff.
func (h *Hub) planQuestion(e entry, now time.Time) {
	r := e.rec
	if h.watch.interval == 0 || r.State != record.Waiting || r.Questions > 0 || r.Early {
		return
	}
	next, deadline := h.watch.next(r, now), fromNano(r.Deadline)
	beats := e.beatAt()
	switch {
	case !deadline.IsZero() && isDue(deadline, now):
		return
	case !beats.IsZero() && beats.Before(now.Add(h.watch.interval)), !deadline.IsZero() && deadline.Before(next):
		r.NextQuestion = 0 // at the deadline
	default:
		r.NextQuestion = next.UnixNano()
	}
}

// lastQuestion bounds how long the hub waits before it repeats a question.
func (w watch) lastQuestion() time.Duration {
	if w.interval == 0 {
		return lastQuestion
	}
	return min(lastQuestion, max(w.interval, firstQuestion))
}
