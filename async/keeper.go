package async

import (
	"bytes"
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

// shortest is how many claim times a heartbeat timeout needs for a hub that
// died to be replaced in time.
const shortest = 3

// longestGap bounds how far apart the worker's own beats are.
const longestGap = time.Minute

// beatMeanwhile heartbeats from the worker while the function runs, or while
// Start waits for the store. The beats end with the worker: one that is killed
// before it has asked is noticed within the heartbeat timeout, although the wait
// may last for days. heard is when the server last heard of the attempt. reads
// says whether the store can be read. The function that is returned stops the
// beats, waits for the one under way, and returns when the server last heard of
// the attempt.
func (h *Hub) beatMeanwhile(ctx context.Context, e entry, heard time.Time, reads bool) (stop func() (heard time.Time)) {
	timeout := time.Duration(e.rec.HeartbeatTimeout)
	if timeout == 0 {
		return func() time.Time { return heard }
	}
	k := keeper{hub: h, e: e, every: min(timeout/3, longestGap), reads: reads}
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

// keeper heartbeats for one attempt from its worker.
type keeper struct {
	hub   *Hub
	e     entry
	every time.Duration
	reads bool // the store can be read; otherwise nothing is recorded in it either
}

// run beats, from time to time, with the details that the server has: a beat
// without would erase what the function or an earlier attempt has recorded.
// Where the function beats for itself, and fast enough, nothing is sent, so that
// what it records meanwhile isn't overwritten. It returns when it last beat, or
// last.
func (k keeper) run(ctx context.Context, heard, last time.Time) time.Time {
	h, e, reporter := k.hub, k.e, k.hub.completer
	next := time.NewTimer(time.Until(heard.Add(k.every)))
	defer next.Stop()
	seen, ours := fromNano(e.rec.Started), false // times of the server's, which are compared with its own only
	for {
		select {
		case <-ctx.Done():
			return last
		case <-next.C:
			next.Reset(k.every)
		}
		if reporter == nil {
			var err error
			if reporter, err = workersCompleter(ctx, e); err != nil {
				h.beatFailed(ctx, e, "this hub has no completer, and none can be made of the worker's client", err)
				return last
			}
		}
		now, over := time.Now(), false
		call, cancel := context.WithTimeout(ctx, max(k.every, callMargin))
		seen, ours, over = k.beat(call, reporter, seen, ours)
		cancel()
		if ours {
			last = now
		}
		if over {
			return last
		}
	}
}

// beat beats, unless the function has since seen; while Start waits for the
// store no function runs, and each of these beats is sent. It returns when the server had
// its last heartbeat before this one, whether it sent one, and whether there is
// nothing to keep alive any more, though the function runs.
func (k keeper) beat(ctx context.Context, reporter completer.Completer, seen time.Time, ours bool) (last time.Time, sent, over bool) {
	h, e := k.hub, k.e
	now := e
	if k.reads {
		read, cancel := context.WithTimeout(ctx, max(k.every, callMargin)/3) // a store that hangs leaves time for the beat
		stored, err := h.load(read, e.id)
		cancel()
		if err == nil { // the store's trouble is none of the activity's
			now = stored
		}
	}
	if now.rec.State != record.Waiting || now.rec.Started != e.rec.Started {
		return seen, false, true
	}
	status, err := reporter.Describe(ctx, target(e.rec).ByID(), "")
	if err != nil {
		h.beatFailed(ctx, e, "Temporal can't be asked what the function recorded", err)
		return seen, ours, false
	}
	if !attemptRuns(e.rec, status) {
		return seen, false, true
	}
	signals, known := completer.Signals(wordOf(status).Signals(now.rec)), now.rec.ServerDetailsDigest
	if ours || !k.reads || !status.LastHeartbeat.After(seen) {
		ours = false
		details := latest(now.rec, status)
		switch s, err := reporter.Heartbeat(ctx, target(e.rec), details); {
		case errors.Is(err, completer.ErrOver):
			return seen, false, true
		case err != nil:
			h.beatFailed(ctx, e, "Temporal can't be reached, or refuses it", err)
		default:
			signals, ours = s, true
			if details != status.Details {
				known = digestOf(details)
			}
		}
	}
	if k.reads {
		h.noteMeanwhile(ctx, now, signals, known)
	}
	return status.LastHeartbeat, ours, false
}

// workersCompleter reports through the worker's own client.
func workersCompleter(ctx context.Context, e entry) (completer.Completer, error) {
	// Outside of a worker there is no client, and GetClient panics.
	return guarded("activity.GetClient", func() (completer.Completer, error) {
		return completer.New(completer.Client{Client: activity.GetClient(ctx), Options: client.Options{Namespace: e.rec.Namespace}})
	})
}

// noteMeanwhile has a hub that runs tell what the worker has learned, and
// records the digest of what the server has. Signals for which this hub has no
// hook are left to those that have, to learn anew.
func (h *Hub) noteMeanwhile(ctx context.Context, e entry, s completer.Signals, known []byte) {
	started := e.rec.Started
	written := false
	_, err := h.update(ctx, e, func(e entry) (entry, bool, error) {
		r := e.rec
		s.CancelRequested = r.CancelRequested || s.CancelRequested && h.hooks.CancelRequested != nil
		s.Reset = r.ResetRequested || s.Reset && h.hooks.Reset != nil
		if h.hooks.Paused == nil {
			s.Paused = r.Paused
		}
		if r.State != record.Waiting || r.Started != started ||
			s == (completer.Signals{CancelRequested: r.CancelRequested, Paused: r.Paused, Reset: r.ResetRequested}) && bytes.Equal(known, r.ServerDetailsDigest) {
			return e, false, nil
		}
		h.policy(time.Now()).Signalled(r, lifecycle.Signals(s))
		r.ServerDetailsDigest = known
		written = true
		return e, true, nil
	})
	if err == nil && written {
		h.wakeUp()
	}
}

// warnOfBeats says once for each activity type that a heartbeat timeout is
// too short for another hub to take over in time.
func (h *Hub) warnOfBeats(ctx context.Context, r *record.Record) {
	timeout := time.Duration(r.HeartbeatTimeout)
	if timeout == 0 {
		return
	}
	if apart := time.Since(fromNano(r.Started)); apart.Abs() > timeout/3 {
		h.troubles.clock.happened(ctx, slog.Duration("ahead", apart), slog.Duration("heartbeat_timeout", timeout))
	}
	if timeout >= shortest*h.claimTime {
		return
	}
	if _, before := h.warned.LoadOrStore(r.ActivityType, true); !before {
		h.log.WarnContext(ctx, "async: the heartbeat timeout is below three times Options.ClaimTime: if a hub dies, none may take over in time",
			slog.String("activity_type", r.ActivityType), slog.Duration("heartbeat_timeout", timeout), slog.Duration("claim_time", h.claimTime))
	}
}
