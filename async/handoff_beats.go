package async

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// shortest is the smallest heartbeat timeout, in claim times, in which another
// hub can replace a dead one.
const shortest = 3

// longestGap is the longest time between two beats of the worker.
const longestGap = time.Minute

// beatMeanwhile sends heartbeats from the worker while the function runs, or
// while Start waits for the store. The beats end when the worker dies. If the
// worker is killed before it has sent the request, Temporal thus notices within
// the heartbeat timeout, and not after a wait of days.
//
// heard is when Temporal last heard of the attempt. reads is whether the store
// can be read. The returned function stops the beats and waits for the current
// one. Its result is the time at which Temporal last heard of the attempt.
func (s *starter) beatMeanwhile(ctx context.Context, e entry, heard time.Time, reads bool) (stop func() (heard time.Time)) {
	timeout := time.Duration(e.rec.HeartbeatTimeout)
	if timeout == 0 {
		return func() time.Time { return heard }
	}
	k := handoffBeats{starter: s, e: e.clone(), every: min(timeout/3, longestGap), reads: reads}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	began := time.Now()
	last := began
	running.Go(func() { last = k.run(ctx, heard, began) })
	return func() time.Time {
		cancel()
		running.Wait()
		if last.Equal(began) {
			return heard
		}
		return last
	}
}

// handoffBeats sends the heartbeats of one attempt from its worker.
type handoffBeats struct {
	starter *starter
	e       entry
	every   time.Duration
	reads   bool // whether the store can be read; if not, nothing is recorded in it
}

// run sends beats with the details that Temporal already has. A beat without
// details would erase those that the function or an earlier attempt has
// recorded. If the function sends its own beats often enough, run sends none,
// so that run does not overwrite details of the function. It returns the time
// of the last beat, its own or the function's.
func (k handoffBeats) run(ctx context.Context, heard, last time.Time) time.Time {
	s, e, ask := k.starter, k.e, k.starter.describer
	next := time.NewTimer(time.Until(heard.Add(k.every)))
	defer next.Stop()
	seen, ours := fromNano(e.rec.Started), false // the times are Temporal's, and they are compared only with each other
	for {
		select {
		case <-ctx.Done():
			return last
		case <-next.C:
			next.Reset(k.every)
		}
		if ask.completer == nil {
			var err error
			if ask.completer, err = workersCompleter(ctx, e); err != nil {
				s.beater.beatFailed(ctx, e, "this hub has no completer, and none can be made of the worker's client", err)
				return last
			}
		}
		now, over := time.Now(), false
		call, cancel := context.WithTimeout(ctx, max(k.every, callMargin))
		seen, ours, over = k.beat(call, ask, seen, ours)
		cancel()
		if ours {
			last = now
		}
		if over {
			return last
		}
	}
}

// beat sends a beat, unless the function has sent one since seen. While Start
// waits for the store, no function runs, and every beat is sent.
//
// beat returns the time at which Temporal got the previous heartbeat, and
// whether beat sent one. beat also returns whether the beats can end although
// the function runs, because there is no attempt left to keep alive.
func (k handoffBeats) beat(ctx context.Context, ask describer, seen time.Time, ours bool) (last time.Time, sent, over bool) {
	s, e := k.starter, k.e
	now := e
	if k.reads {
		read, cancel := context.WithTimeout(ctx, max(k.every, callMargin)/3) // a store that hangs leaves enough time for the beat
		stored, err := s.entries.load(read, e.id)
		cancel()
		if err == nil { // trouble of the store does not concern the activity
			now = stored
		}
	}
	if now.rec.State != record.Waiting || now.rec.Started != e.rec.Started {
		return seen, false, true
	}
	status, err := ask.describe(ctx, e.rec, "")
	if err != nil {
		s.beater.beatFailed(ctx, e, "Temporal can't be asked what the function recorded", err)
		return seen, ours, false
	}
	word := wordOf(status)
	if !word.Runs(e.rec) {
		return seen, false, true
	}
	signals, known := word.Signals(now.rec), now.rec.ServerDetailsDigest
	if ours || !k.reads || !status.LastHeartbeat.After(seen) {
		ours = false
		details, digest := status.Details, known
		if lifecycle.WorkerSends(now.rec, word) {
			if brought, err := payloadsOf(now.rec.Details); brought != nil && err == nil {
				details, digest = brought, digestOf(brought)
			}
		}
		switch got, err := ask.completer.Heartbeat(ctx, target(e.rec), details); {
		case errors.Is(err, completer.ErrOver):
			return seen, false, true
		case err != nil:
			s.beater.beatFailed(ctx, e, "Temporal can't be reached, or refuses it", err)
		default:
			signals, known, ours = lifecycle.Signals(got), digest, true
		}
	}
	if k.reads {
		s.learnMeanwhile(ctx, now, signals, known)
	}
	return status.LastHeartbeat, ours, false
}

// workersCompleter returns a completer that uses the worker's own client.
func workersCompleter(ctx context.Context, e entry) (completer.Completer, error) {
	// Outside of a worker there is no client, and GetClient panics.
	return guarded("activity.GetClient", func() (completer.Completer, error) {
		return completer.New(completer.Client{Client: activity.GetClient(ctx), Options: client.Options{Namespace: e.rec.Namespace}})
	})
}

// learnMeanwhile records what a beat has learned, so that a running hub calls
// the hooks.
func (s *starter) learnMeanwhile(ctx context.Context, e entry, said lifecycle.Signals, known []byte) {
	started, written := e.rec.Started, false
	_, err := s.entries.update(ctx, e, func(e entry) (entry, bool, error) {
		written = s.rules.at(time.Now()).LearnMeanwhile(e.rec, started, said, known)
		return e, written, nil
	})
	if err == nil && written {
		s.wheel.wake()
	}
}

// warnOfBeats logs once for each activity type if its heartbeat timeout is too
// short for another hub to take over in time.
func (s *starter) warnOfBeats(ctx context.Context, r *record.Record) {
	timeout := time.Duration(r.HeartbeatTimeout)
	if timeout == 0 {
		return
	}
	if apart := time.Since(fromNano(r.Started)); apart.Abs() > timeout/3 {
		s.troubles.clock.happened(ctx, slog.Duration("ahead", apart), slog.Duration("heartbeat_timeout", timeout))
	}
	if timeout >= shortest*s.claimTime {
		return
	}
	if _, before := s.warned.LoadOrStore(r.ActivityType, true); !before {
		s.log.WarnContext(ctx, "async: the heartbeat timeout is below three times Options.ClaimTime: if a hub dies, none may take over in time",
			slog.String("activity_type", r.ActivityType), slog.Duration("heartbeat_timeout", timeout), slog.Duration("claim_time", s.claimTime))
	}
}
