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

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// shortest is how many claim times a heartbeat timeout needs for a hub that
// died to be replaced in time.
const shortest = 3

// longestGap bounds how far apart the worker's own beats are.
const longestGap = time.Minute

// beatMeanwhile heartbeats from the worker while the function runs, and so dies
// with it: a worker that is killed before the outside was asked is noticed
// within the heartbeat timeout, although the wait may last for days. What it
// returns stops that, waits for it, and tells when the server last heard of the
// attempt.
func (h *Hub) beatMeanwhile(ctx context.Context, e entry) (stop func() (heard time.Time)) {
	now := time.Now()
	first := begun(e.rec, now)
	timeout := time.Duration(e.rec.HeartbeatTimeout)
	if timeout == 0 {
		return func() time.Time { return first }
	}
	ctx, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	last := now
	keeper.Go(func() { last = h.keep(ctx, e, min(timeout/3, longestGap), now) })
	return func() time.Time {
		cancel()
		keeper.Wait()
		return first.Add(last.Sub(now))
	}
}

// keep beats, from time to time, with the details that the server has: a beat
// without would erase what the function or an earlier attempt has recorded.
// Where the function beats for itself, and fast enough, nothing is sent, so that
// what it records meanwhile isn't overwritten. It returns when it last beat, or
// last.
func (h *Hub) keep(ctx context.Context, e entry, every time.Duration, last time.Time) time.Time {
	completer := h.completer
	beats := time.NewTicker(every)
	defer beats.Stop()
	seen, ours := fromNano(e.rec.Started), false // times of the server's, which are compared with its own only
	for {
		select {
		case <-ctx.Done():
			return last
		case <-beats.C:
		}
		if completer == nil {
			var err error
			if completer, err = workersCompleter(ctx, e); err != nil {
				h.beatFailed(ctx, e, "this hub has no completer, and none can be made of the worker's client", err)
				return last
			}
		}
		now, over := time.Now(), false
		call, cancel := context.WithTimeout(ctx, max(every, callMargin))
		seen, ours, over = h.keepOnce(call, completer, e, seen, ours)
		cancel()
		if ours {
			last = now
		}
		if over {
			return last
		}
	}
}

// keepOnce beats, unless the function has since seen. It returns when the
// server had its last heartbeat before this one, whether it sent one, and
// whether there is nothing to keep alive any more, though the function runs.
func (h *Hub) keepOnce(ctx context.Context, completer Completer, e entry, seen time.Time, ours bool) (last time.Time, sent, over bool) {
	now, err := h.load(ctx, e.id)
	if err != nil {
		now = e // the store's trouble is none of the activity's
	}
	if now.rec.State != record.Waiting || now.rec.Started != e.rec.Started {
		return seen, false, true
	}
	status, err := completer.Describe(ctx, target(e.rec).ByID(), "")
	if err != nil {
		h.beatFailed(ctx, e, "Temporal can't be asked what the function recorded", err)
		return seen, ours, false
	}
	if !attemptRuns(e.rec, status) {
		return seen, false, true
	}
	signals, known := Signals(wordOf(status).Signals(now.rec)), now.rec.ServerDetailsDigest
	if ours || !status.LastHeartbeat.After(seen) {
		ours = false
		details := latest(now.rec, status)
		switch s, err := completer.Heartbeat(ctx, target(e.rec), details); {
		case errors.Is(err, ErrOver):
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
	h.noteMeanwhile(ctx, now, signals, known)
	return status.LastHeartbeat, ours, false
}

// workersCompleter reports through the worker's own client.
func workersCompleter(ctx context.Context, e entry) (c Completer, err error) {
	defer func() {
		if recover() != nil { // outside of a worker there is no client
			err = errPanicked
		}
	}()
	return ClientCompleter(Client{Client: activity.GetClient(ctx), Options: client.Options{Namespace: e.rec.Namespace}})
}

// noteMeanwhile has a hub that runs tell what the worker has learned, and
// records the digest of what the server has. Signals for which this hub has no
// hook are left to those that have, to learn anew.
func (h *Hub) noteMeanwhile(ctx context.Context, e entry, s Signals, known []byte) {
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
			s == (Signals{r.CancelRequested, r.Paused, r.ResetRequested}) && bytes.Equal(known, r.ServerDetailsDigest) {
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
		level := slog.LevelDebug
		h.rarely.Do(func() { level = slog.LevelWarn })
		h.log.Log(ctx, level, "async: this machine's clock is far from Temporal's: hubs may heartbeat too late for its activities",
			slog.Duration("ahead", apart), slog.Duration("heartbeat_timeout", timeout))
	}
	if timeout >= shortest*h.claimTime {
		return
	}
	if _, before := h.warned.LoadOrStore(r.ActivityType, true); !before {
		h.log.WarnContext(ctx, "async: the heartbeat timeout is below three times Options.ClaimTime: if a hub dies, none may take over in time",
			slog.String("activity_type", r.ActivityType), slog.Duration("heartbeat_timeout", timeout), slog.Duration("claim_time", h.claimTime))
	}
}
