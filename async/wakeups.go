package async

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

const (
	// idlePoll is how often Run polls a store that sends signals, after a
	// minute without a signal. An entry that becomes due then was written more
	// than a minute before, so it is late by at most a fifth of that time.
	idlePoll = 10 * time.Second

	// busyWatch is the longest time that Run waits after a claim that found
	// something, if the store sends signals.
	busyWatch = 50 * time.Millisecond

	// apart is the least time between two claims that signals cause, because
	// one entry may wake many hubs.
	apart = 10 * time.Millisecond
)

// wakeups handles the signals of a store.Notifier. With signals, Run polls less
// often, and claims at once the entries that another process has made due. A
// lost signal only costs the time until the next poll.
type wakeups struct {
	store   store.Notifier  // nil if the store sends no signals
	signals <-chan struct{} // nil while the store is not watched
	opening chan watched    // the result of a running call of Watch, or nil
	calls   sync.WaitGroup  // of Watch
	again   time.Time       // when Run watches the store again after a failure
	busy    time.Time       // until when entries that signals have announced may become due
}

// watched is the result of Watch.
type watched struct {
	signals <-chan struct{}
	err     error
}

func newWakeups(s store.Store) *wakeups {
	n, _ := s.(store.Notifier)
	return &wakeups{store: n}
}

// watch starts to watch the store, unless it is already watched. watch does not
// wait for the store: a connection that hangs must not keep Run from claiming.
func (w *wakeups) watch(ctx context.Context, now time.Time) {
	if w.store == nil || w.signals != nil || w.opening != nil || now.Before(w.again) {
		return
	}
	w.again = now.Add(idlePoll)
	opening := make(chan watched, 1)
	w.opening = opening
	w.calls.Go(func() {
		signals, err := w.store.Watch(ctx)
		opening <- watched{signals, err}
	})
}

// opened handles the result of Watch.
func (w *wakeups) opened(ctx context.Context, r watched, now time.Time, log *slog.Logger) {
	w.opening = nil
	switch {
	case r.err == nil:
		w.signals, w.busy = r.signals, now.Add(store.WatchAhead)
	case errors.Is(r.err, errors.ErrUnsupported):
		w.store = nil
	case ctx.Err() == nil:
		log.WarnContext(ctx, "async: cannot watch the store; Run polls at Options.PollInterval and tries again", slog.Any("error", r.err))
	}
}

// signaled handles a signal, or a closed channel.
func (w *wakeups) signaled(open bool, now time.Time) {
	if !open {
		w.signals = nil
		return
	}
	w.busy = now.Add(store.WatchAhead)
}

// idle returns how long Run may wait after a claim that found nothing.
func (w *wakeups) idle(poll time.Duration, now time.Time) time.Duration {
	if w.signals == nil || now.Before(w.busy) {
		return poll
	}
	return max(poll, idlePoll)
}

// breath returns how long Run waits after a claim that found something.
func (w *wakeups) breath(d time.Duration) time.Duration {
	if w.signals == nil {
		return d
	}
	return min(d, busyWatch)
}
