package async

import (
	"testing"
	"time"
)

// at returns the time n tenths of a second after a whole second.
func at(tenths int64) time.Time { return time.Unix(1_800_000_000, tenths*int64(100*time.Millisecond)) }

const tenth = 100 * time.Millisecond

func TestWheelKnowsWhatIsNoted(t *testing.T) {
	for due, want := range map[int64]time.Duration{
		-100: tenth, // a past time counts for the end of this span
		0:    tenth,
		1:    2 * tenth,
		7:    8 * tenth,
		59:   60 * tenth,
		60:   time.Hour, // a poll comes long before that
		64:   time.Hour, // the same bit as 0
		124:  time.Hour,
	} {
		s := wheel{span: tenth}
		s.note(at(due), at(0))
		if got := s.left(at(0)); got != want {
			t.Errorf("something is due in %d spans, and Run waits %v, want %v", due, got, want)
		}
	}
	s := wheel{span: tenth}
	if got := s.left(at(0)); got != time.Hour {
		t.Errorf("nothing is due, and Run waits %v, want an hour", got)
	}
	s.note(time.Time{}, at(0))
	if got := s.left(at(0)); got != time.Hour {
		t.Errorf("something is never due, and Run waits %v, want an hour", got)
	}
	s.note(at(0), at(0))
	if got := s.left(at(4)); got != time.Hour {
		t.Errorf("something was due four spans ago, and Run waits %v, want an hour: it has looked since", got)
	}
}

// A span ends at a fixed time. It does not matter when in the span note or left
// is called.
func TestWheelWithinASpan(t *testing.T) {
	s := wheel{span: tenth}
	s.note(at(3).Add(30*time.Millisecond), at(0).Add(99*time.Millisecond))
	for now, want := range map[time.Time]time.Duration{
		at(0):                            4 * tenth,
		at(2).Add(99 * time.Millisecond): tenth + time.Millisecond,
		at(3).Add(30 * time.Millisecond): 70 * time.Millisecond,
		at(4).Add(-1):                    1,
	} {
		if got := s.left(now); got != want {
			t.Errorf("at %v Run waits %v, want %v: until the span with it is over", now.Sub(at(0)), got, want)
		}
	}
}

// Only the nearest span counts. Spans that are over are forgotten, but the
// current span is not.
func TestWheelPasses(t *testing.T) {
	s := wheel{span: tenth}
	s.pass(at(0))
	s.note(at(2), at(0))
	s.note(at(20), at(0))
	want := func(now int64, want time.Duration) {
		t.Helper()
		if got := s.left(at(now)); got != want {
			t.Errorf("after %d spans Run waits %v, want %v", now, got, want)
		}
	}
	want(0, 3*tenth)
	s.pass(at(2))
	want(2, tenth)
	s.pass(at(3))
	want(3, 18*tenth)
	want(18, 3*tenth)
	s.pass(at(21))
	want(21, time.Hour)
}

// Bits are reused. If Run polls often, an old bit must not count for a future
// span. If Run polls rarely, a future span must not be forgotten.
func TestWheelGoesRound(t *testing.T) {
	for _, step := range []int64{1, 2, 3, 4, 20, 63, 64, 65, 1000} {
		s := wheel{span: tenth}
		s.pass(at(0))
		for now := int64(0); now < 5000; now += step {
			s.pass(at(now))
			if got := s.left(at(now)); step < 5 && got != time.Hour {
				t.Fatalf("Run looks every %d spans, and waits %v after %d, want an hour: nothing is due", step, got, now)
			}
			s.note(at(now+3), at(now))
			s.note(at(now+59), at(now))
			if got := s.left(at(now)); got > 4*tenth {
				t.Fatalf("Run looks every %d spans, and waits %v after %d with something due in the fourth", step, got, now)
			}
			for later := now; later < now+59; later++ { // polls without new due entries
				s.pass(at(later))
			}
			if got := s.left(at(now + 59)); got != tenth {
				t.Fatalf("Run looks every %d spans, and waits %v after %d, when something is due in this one: it was forgotten", step, got, now+59)
			}
			s.pass(at(now + 60))
			if got := s.left(at(now + 60)); got != time.Hour {
				t.Fatalf("Run waits %v after %d, want an hour: all that was due is over", got, now+60)
			}
			now += 60
		}
	}
}

// After a long pause, Run polls at most once for each span that an old bit
// marks, and then waits.
func TestWheelAfterALongPause(t *testing.T) {
	s := wheel{span: tenth}
	s.pass(at(0))
	for i := range int64(60) {
		s.note(at(i), at(0))
	}
	looks := 0
	now := at(1000)
	for range 200 {
		s.pass(now)
		left := s.left(now)
		if left == time.Hour {
			break
		}
		if left <= 0 {
			t.Fatalf("Run waits %v, want above zero: it would turn without end", left)
		}
		looks++
		now = now.Add(left)
	}
	if looks > 64 || s.left(now) != time.Hour {
		t.Errorf("Run has looked %d times after a long rest and waits %v, want one for each span at most, and then an hour", looks, s.left(now))
	}
}
