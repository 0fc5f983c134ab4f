package async

import (
	"sync/atomic"
	"time"
)

// soon has Run look in time for what this process makes due before the next
// poll: otherwise short heartbeat timeouts couldn't be kept. It knows of the
// next 64 spans whether something is due in them, and not what.
type soon struct {
	span   time.Duration
	spans  atomic.Uint64 // a bit for each, by its number modulo 64
	passed atomic.Int64  // the first that Run has still to look at
}

func (s *soon) number(t time.Time) int64 { return t.UnixNano() / int64(s.span) }

// note remembers what is due within the next 60 spans, which is three poll
// intervals.
func (s *soon) note(due, now time.Time) {
	if n := s.number(due); !due.IsZero() && n < s.number(now)+60 {
		s.spans.Or(1 << (max(n, s.number(now)) % 64))
	}
}

// pass forgets the spans that are over: a claim finds what was due in them.
func (s *soon) pass(now time.Time) {
	n := s.number(now)
	for i := max(s.passed.Swap(n), n-4); i < n; i++ { // what is before those has a bit of one that is to come
		s.spans.And(^uint64(1 << (i % 64)))
	}
}

// left is how long Run may wait: to the end of the first span with something in
// it, or for a long time.
func (s *soon) left(now time.Time) time.Duration {
	n := s.number(now)
	for i := range int64(60) {
		if s.spans.Load()&(1<<((n+i)%64)) != 0 {
			return time.Unix(0, (n+i+1)*int64(s.span)).Sub(now)
		}
	}
	return time.Hour
}
