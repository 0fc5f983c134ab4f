package wake

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRule(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		due   time.Time
		again time.Duration // time since a signal for a later time
		want  bool
	}{
		"never":               {time.Time{}, time.Hour, false},
		"at once":             {now, 0, true},
		"long ago":            {now.Add(-time.Hour), 0, true},
		"soon":                {now.Add(Ahead), time.Second, true},
		"soon, just signaled": {now.Add(time.Second), time.Second - 1, false},
		"later":               {now.Add(Ahead + 1), time.Hour, false},
		"a clock set back":    {now.Add(time.Second), -time.Minute, true},
	} {
		var r Rule
		r.last.Store(now.Add(-c.again).UnixNano())
		if got := r.Signals(c.due, now); got != c.want {
			t.Errorf("%s: signaled is %t, want %t", name, got, c.want)
		}
	}
}

// Signals are merged, and nothing is sent on a closed channel.
func TestBell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bell
		ctx, cancel := context.WithCancel(t.Context())
		one, err := b.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := b.Watch(t.Context())
		for range 3 {
			b.Due(time.Now())
		}
		if len(one) != 1 || len(two) != 1 {
			t.Errorf("after three signals: got %d and %d, want one each", len(one), len(two))
		}
		cancel()
		synctest.Wait()
		b.Due(time.Now())
		<-one
		if _, open := <-one; open {
			t.Error("the channel of a context that has ended is open, want it closed")
		}
		if n := b.count.Load(); n != 1 {
			t.Errorf("%d watchers are left, want 1", n)
		}
		b.Close()
		b.Due(time.Now())
		<-two
		if _, open := <-two; open {
			t.Error("the channel is open after Close, want it closed")
		}
		if _, err := b.Watch(t.Context()); err != ErrClosed {
			t.Errorf("Watch after Close: got %v, want ErrClosed", err)
		}
	})
}
