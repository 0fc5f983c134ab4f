package async

import (
	"sync/atomic"
	"time"
)

// wheel makes Run look in time for what this process makes due before the next
// poll: otherwise short heartbeat timeouts could not be kept. It records for each
// of the next 64 spans whether something is due in it, and not what.
type wheel struct {
	span   time.Duration
	spans  atomic.Uint64 // a bit for each, by its number modulo 64
	passed atomic.Int64  // the first that Run has still to look at
	woken  chan struct{} // this process has made something due now
}

// newWheel returns a wheel of a hub with this poll interval.
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

// note remembers what is due within the next 60 spans, which is three poll
// intervals.
func (w *wheel) note(due, now time.Time) {
	if n := w.number(due); !due.IsZero() && n < w.number(now)+60 {
		w.spans.Or(1 << (max(n, w.number(now)) % 64))
	}
}

// pass forgets the spans that are over: a claim finds what was due in them.
func (w *wheel) pass(now time.Time) {
	n := w.number(now)
	for i := max(w.passed.Swap(n), n-4); i < n; i++ { // what is before those has a bit of one that is to come
		w.spans.And(^uint64(1 << (i % 64)))
	}
}

// left is how long Run may wait: to the end of the first span with something in
// it, or for a long time.
func (w *wheel) left(now time.Time) time.Duration {
	n := w.number(now)
	for i := range int64(60) {
		if w.spans.Load()&(1<<((n+i)%64)) != 0 {
			return time.Unix(0, (n+i+1)*int64(w.span)).Sub(now)
		}
	}
	return time.Hour
}
