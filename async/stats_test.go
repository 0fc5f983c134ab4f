package async_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// scanned is a store that counts its scans and can delay them.
type scanned struct {
	store.Store
	scans atomic.Int64
	hold  func(ctx context.Context) error
}

func (s *scanned) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	if after == "" {
		s.scans.Add(1)
	}
	if s.hold != nil {
		if err := s.hold(ctx); err != nil {
			return nil, err
		}
	}
	return s.Store.(store.Pager).Page(ctx, after, n)
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = unavailable
		w.startMany(9)
		p, err := w.hub.Page(t.Context(), async.Query{ActivityType: "Pay", Limit: 1})
		wantNil(t, err)
		wantNil(t, p.Callbacks[0].Reject(t.Context(), errors.New("no")))
		s, err := w.hub.Stats(t.Context())
		wantNil(t, err)
		want := []async.Group{
			{State: async.Waiting, ActivityType: "Approve", Entries: 6},
			{State: async.Waiting, ActivityType: "Pay", Entries: 2},
			{State: async.Settled, ActivityType: "Pay", Class: "unavailable", Entries: 1},
		}
		if len(s.Groups) != len(want) || s.At.IsZero() || s.Unreadable != 0 {
			t.Fatalf("the snapshot is %+v", s)
		}
		for i, g := range s.Groups {
			if g.Oldest.IsZero() || time.Since(g.Oldest) > time.Hour {
				t.Errorf("the oldest of group %d is of %v", i, g.Oldest)
			}
			if g.Oldest = (time.Time{}); g != want[i] {
				t.Errorf("group %d is %+v, want %+v", i, g, want[i])
			}
		}
		s.Groups[0].Entries = 77
		if again, _ := w.hub.Stats(t.Context()); again.Groups[0].Entries != 6 {
			t.Error("a caller has changed the snapshot of others")
		}
	})
}

// TestStatsClasses tests the classes that do not come from a delivery.
func TestStatsClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		class := func(w *world) string {
			s, err := w.hub.Stats(t.Context())
			wantNil(t, err)
			if len(s.Groups) != 1 {
				t.Fatalf("the groups are %+v, want one", s.Groups)
			}
			return s.Groups[0].Class
		}
		w := newWorld(t)
		w.start(1, async.StartOptions{Pump: "unknown"})
		if got := class(w); got != async.ClassUnknownPump {
			t.Errorf("the class is %q, want %q", got, async.ClassUnknownPump)
		}
		for name, change := range map[string]func(r *record.Record){
			"heartbeat": func(r *record.Record) { r.BeatTries = 3 },
			"late":      func(r *record.Record) { r.NextBeat = time.Now().Add(-2 * time.Minute).UnixNano() },
			"hook":      func(r *record.Record) { r.Notices, r.NoticeTries = []*record.Notice{{Kind: record.NoticePaused}}, 2 },
			"":          func(r *record.Record) { r.NextBeat = time.Now().UnixNano() },
		} {
			w := newWorld(t)
			w.start(1, async.StartOptions{})
			w.change(change)
			if got := class(w); got != name {
				t.Errorf("the class is %q, want %q", got, name)
			}
		}
	})
}

func TestStatsAreSharedAndDated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scanned{Store: store.NewMemory(), hold: func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }}
		w := newWorld(t, func(o *async.Options) { o.Store = s })
		w.startMany(1)
		ask := func(n int) {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					if _, err := w.hub.Stats(t.Context()); err != nil {
						t.Errorf("Stats: %v", err)
					}
				})
			}
			wg.Wait()
		}
		ask(50)
		if n := s.scans.Load(); n != 1 {
			t.Errorf("50 callers at once made %d scans, want 1", n)
		}
		first, _ := w.hub.Stats(t.Context())
		time.Sleep(59 * time.Second)
		if again, _ := w.hub.Stats(t.Context()); !again.At.Equal(first.At) {
			t.Errorf("the snapshot of %v is one of %v a minute later, want the same", first.At, again.At)
		}
		time.Sleep(time.Second)
		ask(50)
		if n := s.scans.Load(); n != 2 {
			t.Errorf("there were %d scans after StatsAge, want 2", n)
		}
		// Slow scans run less often.
		s.hold = func(context.Context) error { time.Sleep(2 * time.Second); return nil }
		time.Sleep(time.Minute)
		ask(1)
		time.Sleep(13 * time.Minute)
		if ask(1); s.scans.Load() != 3 {
			t.Errorf("there were %d scans 13 minutes after one of 4 s, want 3", s.scans.Load())
		}
		time.Sleep(time.Minute)
		if ask(1); s.scans.Load() != 4 {
			t.Errorf("there were %d scans 14 minutes after one of 4 s, want 4", s.scans.Load())
		}
	})
}

func TestStatsEndWithTheLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scanned{Store: store.NewMemory()}
		w := newWorld(t, func(o *async.Options) { o.Store = s })
		w.startMany(1)
		s.hold = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				_, err := w.hub.Stats(ctx)
				wantErr(t, err, context.DeadlineExceeded)
			})
		}
		time.Sleep(2500 * time.Millisecond)
		if n := s.scans.Load(); n != 1 {
			t.Errorf("there are %d scans, want that of the first caller", n)
		}
		wg.Wait()
		synctest.Wait() // the scan's goroutine has ended; otherwise the bubble would not end
		s.hold = nil
		if _, err := w.hub.Stats(t.Context()); err != nil || s.scans.Load() != 2 {
			t.Errorf("after a scan that was given up: %v, %d scans", err, s.scans.Load())
		}
	})
}

func TestStatsReportTheStoresError(t *testing.T) {
	s := &scanned{Store: store.NewMemory(), hold: func(context.Context) error { return errGone }}
	w := newWorld(t, func(o *async.Options) { o.Store = s })
	_, err := w.hub.Stats(t.Context())
	wantErr(t, err, errGone)
	s.hold = nil
	_, err = w.hub.Stats(t.Context())
	wantNil(t, err)
}

func TestStatsAgeIsChecked(t *testing.T) {
	for _, age := range []time.Duration{-1, time.Millisecond, 25 * time.Hour} {
		if _, err := async.New(async.Options{Store: store.NewMemory(), StatsAge: age}); err == nil {
			t.Errorf("New took a StatsAge of %v", age)
		}
	}
}
