//go:build unix

package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// distant is a store whose calls take a millisecond. A call takes effect after
// half a millisecond. distant counts the calls of a fleet of hubs.
type distant struct {
	store.Store
	claims, empty, contended, claimed, writes, conflicts atomic.Int64

	mu    sync.Mutex
	due   map[string]time.Time // by entry
	taken time.Time            // when a claim last found entries
	since time.Time            // when the first of these entries became due
}

const half = 500 * time.Microsecond

// afterDeath is the longest time until another hub has claimed the entries of a
// hub that died: ClaimTime plus one poll interval.
const afterDeath = 12 * time.Second

func (s *distant) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	sent := time.Now()
	time.Sleep(half)
	defer time.Sleep(half)
	s.mu.Lock()
	defer s.mu.Unlock()
	es, err := s.Store.Claim(ctx, now, until, n)
	s.claims.Add(1)
	s.claimed.Add(int64(len(es)))
	switch {
	case len(es) > 0:
		s.taken, s.since = time.Now(), time.Now()
		for _, e := range es {
			if due := s.due[e.ID]; due.Before(s.since) {
				s.since = due
			}
		}
	case err == nil:
		s.empty.Add(1)
		if s.taken.After(sent) && !s.since.After(sent) {
			s.contended.Add(1) // another hub has claimed the entry that was due when this claim was sent
		}
	}
	return es, err
}

func (s *distant) Get(ctx context.Context, id string) (store.Entry, error) {
	time.Sleep(half)
	defer time.Sleep(half)
	return s.Store.Get(ctx, id)
}

func (s *distant) Put(ctx context.Context, e store.Entry) (uint64, error) {
	time.Sleep(half)
	defer time.Sleep(half)
	version, err := s.Store.Put(ctx, e)
	s.writes.Add(1)
	s.mu.Lock()
	s.due[e.ID] = e.Due
	s.mu.Unlock()
	if errors.Is(err, store.ErrConflict) {
		s.conflicts.Add(1)
	}
	return version, err
}

// TestFleet heartbeats for activities with 50 hubs on one store. Every 15
// seconds one hub stops, one dies while it holds claims, and two join. The test
// has 5,000 activities, or 1,000,000 with LATCHKEY_SOAK.
func TestFleet(t *testing.T) {
	const hubs = 50
	activities, timeout, lasts := 5_000, 30*time.Second, 2*time.Minute
	switch {
	case os.Getenv("LATCHKEY_SOAK") != "":
		activities, timeout, lasts = 1_000_000, 10*time.Minute, 10*time.Minute
	case async.Race:
		activities = 500
	}
	synctest.Test(t, func(t *testing.T) {
		shared := &distant{Store: store.NewMemory(), due: make(map[string]time.Time, activities)}
		var mu sync.Mutex
		var late []time.Duration
		missed := 0
		last := make(map[string]time.Time, activities)
		var running sync.WaitGroup
		ctx, stopAll := context.WithCancel(t.Context())
		defer running.Wait()
		defer stopAll()
		join := func() (leave, die func()) {
			gone := new(atomic.Bool)
			calls := &punctual{timeout: timeout, gone: gone, mu: &mu, last: last, late: &late, missed: &missed}
			hub, err := async.New(async.Options{Store: shared, Completer: calls, Logger: slog.New(slog.DiscardHandler)})
			wantNil(t, err)
			ctx, stop := context.WithCancel(ctx)
			running.Go(func() { _ = hub.Run(ctx) })
			return stop, func() { gone.Store(true) }
		}
		starter, err := async.New(async.Options{Store: shared.Store, Completer: new(punctual)})
		wantNil(t, err)
		info := attempt(1)
		info.HeartbeatTimeout = timeout
		for n := range activities {
			if n%max(1, activities/1000) == 0 { // a workflow cannot start all of them at once
				time.Sleep(timeout / 3000)
			}
			info.ActivityID, info.TaskToken, info.StartedTime = fmt.Sprint(n), fmt.Append(nil, n), time.Now()
			last[string(info.TaskToken)] = time.Now()
			err := async.StartAttempt(t.Context(), starter, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
			if err != activity.ErrResultPending {
				t.Fatalf("Start of activity %d returned %v", n, err)
			}
		}
		type member struct{ leave, die func() }
		var fleet []member
		for range hubs {
			leave, die := join()
			fleet = append(fleet, member{leave, die})
		}
		for range lasts / (15 * time.Second) {
			time.Sleep(15 * time.Second) // longer than the claims of the hub that died in the round before
			fleet[0].leave()
			fleet[1].die()
			fleet = fleet[2:]
			for range 2 {
				leave, die := join()
				fleet = append(fleet, member{leave, die})
			}
		}
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(late)
		beats := len(late)
		t.Logf("%d activities, %d hubs: %d heartbeats, after a third of the timeout p50 %v, p99 %v, max %v", activities, hubs, beats,
			late[beats/2].Round(time.Millisecond), late[beats*99/100].Round(time.Millisecond), late[beats-1].Round(time.Millisecond))
		percent := func(part, all *atomic.Int64) float64 { return 100 * float64(part.Load()) / float64(all.Load()) }
		if latest := late[beats-1]; latest > afterDeath {
			t.Errorf("a heartbeat came %v after it was due, want at most %v: a claim of a hub that died lapses after that", latest, afterDeath)
		}
		t.Logf("%d claims of %d entries; %.1f %% found none, %.1f %% because another hub was faster; %d writes, %.2f %% conflicts",
			shared.claims.Load(), shared.claimed.Load(), percent(&shared.empty, &shared.claims), percent(&shared.contended, &shared.claims),
			shared.writes.Load(), percent(&shared.conflicts, &shared.writes))
		if missed > 0 {
			t.Errorf("%d heartbeat timeouts were missed, want none", missed)
		}
		if n := shared.conflicts.Load(); n > shared.writes.Load()/20 {
			t.Errorf("%d of %d writes were lost to other hubs, want 5 %% at most", n, shared.writes.Load())
		}
	})
}
