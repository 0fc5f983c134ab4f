package async

import (
	"sync/atomic"
	"time"
)

// wheel makes Run poll in time for entries that this process makes due before
// the next poll. Without the wheel, short heartbeat timeouts could not be kept.
// For each of the next 64 spans, the wheel records whether an entry is due in
// it, and not which one.
type wheel struct {
	span   time.Duration
	spans  atomic.Uint64 // one bit for each span, by its number modulo 64
	passed atomic.Int64  // the first span that Run has not handled yet
	woken  chan struct{} // this process has made an entry due now
}

// newWheel returns a wheel for a hub with this poll interval.
func newWheel(pollInterval time.Duration) *wheel {
	return &wheel{span: max(pollInterval/busyPoll, time.Millisecond), woken: make(chan struct{}, 1)}
}

// wake makes Run look at once.
func (w *wheel) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *wheel) number(t time.Time) int64 { return t.UnixNano() / int64(w.span) }

// note remembers an entry that is due within the next 60 spans, which are three
// poll intervals.
func (w *wheel) note(due, now time.Time) {
	if n := w.number(due); !due.IsZero() && n < w.number(now)+60 {
		w.spans.Or(1 << (max(n, w.number(now)) % 64))
	}
}

// pass forgets the spans that are over, because a claim finds the entries that
// were due in them.
func (w *wheel) pass(now time.Time) {
	n := w.number(now)
	for i := max(w.passed.Swap(n), n-4); i < n; i++ { // the bits of earlier spans already belong to future spans
		w.spans.And(^uint64(1 << (i % 64)))
	}
}

// left returns how long Run may wait: until the end of the first span with a
// due entry, or for a long time.
func (w *wheel) left(now time.Time) time.Duration {
	n := w.number(now)
	for i := range int64(60) {
		if w.spans.Load()&(1<<((n+i)%64)) != 0 {
			return time.Unix(0, (n+i+1)*int64(w.span)).Sub(now)
		}
	}
	return time.Hour
}
