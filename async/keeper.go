package async

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/recordpb"
)

// shortest is how many claim times a heartbeat timeout needs for a hub that
// died to be replaced in time.
const shortest = 3

// longestGap bounds how far apart the worker's own beats are.
const longestGap = time.Minute

// beatMeanwhile heartbeats from the worker while the function runs, and so dies
// with it: a worker that is killed before the outside was asked is noticed
// within the heartbeat timeout, although the wait may last for days. What it
// returns stops that, and waits for it.
func (h *Hub) beatMeanwhile(ctx context.Context, e entry) (stop func()) {
	timeout := time.Duration(e.rec.HeartbeatTimeout)
	if timeout == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { h.keep(ctx, e, min(timeout/3, longestGap)) })
	return func() {
		cancel()
		keeper.Wait()
	}
}

// keep beats, from time to time, with the details that the server has: a beat
// without would erase what the function or an earlier attempt has recorded.
// Where the function beats for itself, and fast enough, nothing is sent, so that
// what it records meanwhile isn't overwritten.
func (h *Hub) keep(ctx context.Context, e entry, every time.Duration) {
	beats := time.NewTicker(every)
	defer beats.Stop()
	seen, ours := fromNano(e.rec.Started), false // times of the server's, which are compared with its own only
	for {
		select {
		case <-ctx.Done():
			return
		case <-beats.C:
		}
		completer, err := h.workersCompleter(ctx, e)
		if err != nil {
			h.beatFailed(ctx, e, "this hub has no completer, and none can be made of the worker's client", err)
			return
		}
		call, cancel := context.WithTimeout(ctx, max(every, callMargin))
		status, err := completer.Describe(call, target(e.rec).ByID(), "")
		switch {
		case err != nil:
			h.beatFailed(ctx, e, "Temporal can't be asked what the function recorded", err)
		case !status.Pending || !status.Running || !status.Started.Equal(fromNano(e.rec.Started)):
			cancel()
			return // the attempt is over, though its function isn't
		case status.LastHeartbeat.After(seen) && !ours:
			seen = status.LastHeartbeat
		default:
			var signals Signals
			signals, err = completer.Heartbeat(call, target(e.rec), h.broughtMeanwhile(call, e, status))
			if ours = err == nil; ours {
				h.signalledMeanwhile(call, e, signals)
			}
			seen = status.LastHeartbeat
		}
		cancel()
		if errors.Is(err, ErrOver) {
			return
		}
	}
}

// broughtMeanwhile is what the worker's own beat says: what the server has,
// unless the outside has brought something since.
func (h *Hub) broughtMeanwhile(ctx context.Context, e entry, status Status) *commonpb.Payloads {
	now, err := h.load(ctx, e.id)
	brought := new(commonpb.Payloads)
	if err != nil || now.rec.State != recordpb.State_STATE_WAITING || now.rec.Started != e.rec.Started ||
		fromNano(now.rec.Brought).Before(status.LastHeartbeat) || now.rec.Brought == 0 || proto.Unmarshal(now.rec.Details, brought) != nil {
		return status.Details
	}
	return brought
}

// workersCompleter is the hub's, or one through the worker's own client.
func (h *Hub) workersCompleter(ctx context.Context, e entry) (c Completer, err error) {
	if h.completer != nil {
		return h.completer, nil
	}
	defer func() {
		if recover() != nil { // outside of a worker there is no client
			err = errPanicked
		}
	}()
	return ClientCompleter(Client{Client: activity.GetClient(ctx), Options: client.Options{Namespace: e.rec.Namespace}})
}

// signalledMeanwhile has a hub that runs tell what the worker has learned.
func (h *Hub) signalledMeanwhile(ctx context.Context, e entry, s Signals) {
	// What this hub has no hook for is left to those that have, to learn anew.
	s.CancelRequested = s.CancelRequested && h.hooks.CancelRequested != nil
	s.Paused = s.Paused && h.hooks.Paused != nil
	s.Reset = s.Reset && h.hooks.Reset != nil
	if s == (Signals{}) {
		return
	}
	for range maxConflicts {
		now, err := h.load(ctx, e.id)
		if err != nil || now.rec.State != recordpb.State_STATE_WAITING || now.rec.Started != e.rec.Started {
			return
		}
		h.signalled(now.rec, s, time.Now())
		now.due = h.dueAt(now.rec)
		if _, err = h.save(ctx, now); !errors.Is(err, errConflict) {
			h.wakeUp()
			return
		}
	}
}

// warnOfBeats says once for each activity type that a heartbeat timeout is
// too short for another hub to take over in time.
func (h *Hub) warnOfBeats(ctx context.Context, r *recordpb.Record) {
	timeout := time.Duration(r.HeartbeatTimeout)
	if timeout == 0 || timeout >= shortest*h.claimTime {
		return
	}
	if _, before := h.warned.LoadOrStore(r.ActivityType, true); !before {
		h.log.WarnContext(ctx, "async: the heartbeat timeout is below three times Options.ClaimTime: if a hub dies, none may take over in time",
			slog.String("activity_type", r.ActivityType), slog.Duration("heartbeat_timeout", timeout), slog.Duration("claim_time", h.claimTime))
	}
}
