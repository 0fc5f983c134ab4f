package postgres

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestDoubtsEnd: a server that does not notice the end of a connection delays
// calls for settleLimit, however short the contexts of the calls are.
func TestDoubtsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d doubts
		d.all = []*doubt{{id: "entry", pid: 1, at: time.Now()}}
		d.number.Store(1)
		if got := d.about("another"); len(got) != 0 {
			t.Errorf("another entry: got %d doubts, want none", len(got))
		}
		time.Sleep(settleLimit)
		if got := d.about("entry"); len(got) != 1 {
			t.Errorf("after settleLimit: got %d doubts, want 1", len(got))
		}
		time.Sleep(time.Nanosecond)
		if got := d.about("another"); len(got) != 0 || d.number.Load() != 0 {
			t.Errorf("after that: got %d doubts and the number %d, want none", len(got), d.number.Load())
		}
	})
}
