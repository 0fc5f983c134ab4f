package async

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

const (
	// idlePoll is how often Run polls a store that signals, while nothing has
	// become due for longer than the store looks ahead. What becomes due then was
	// written more than a minute ahead, so it is late by a fifth of that at most.
	idlePoll = 10 * time.Second

	// busyWatch is how long Run waits at most after a claim that found something,
	// where the store signals.
	busyWatch = 50 * time.Millisecond

	// apart is how far apart claims are that signals bring about: many hubs may
	// wake for one entry.
	apart = 10 * time.Millisecond
)

// watcher lets Run poll less, where the store signals what becomes due. A lost
// signal costs the time until the next poll, nothing else.
type watcher struct {
	store   store.Notifier  // nil where the store doesn't signal
	signals <-chan struct{} // nil while it doesn't watch
	again   time.Time       // when to try to watch after a failure
	busy    time.Time       // until when something may become due of which a signal has told
}

func newWatcher(s store.Store) *watcher {
	n, _ := s.(store.Notifier)
	return &watcher{store: n}
}

// watch begins to watch, if it doesn't.
func (w *watcher) watch(ctx context.Context, now time.Time, log *slog.Logger) {
	if w.store == nil || w.signals != nil || now.Before(w.again) {
		return
	}
	w.again = now.Add(idlePoll)
	signals, err := w.store.Watch(ctx)
	switch {
	case err == nil:
		w.signals, w.busy = signals, now.Add(store.WatchAhead)
	case errors.Is(err, errors.ErrUnsupported):
		w.store = nil
	case ctx.Err() == nil:
		log.WarnContext(ctx, "async: cannot watch the store; Run polls at Options.PollInterval and tries again", slog.Any("error", err))
	}
}

// signaled notes a signal, or that there will be none any more.
func (w *watcher) signaled(open bool, now time.Time) {
	if !open {
		w.signals = nil
		return
	}
	w.busy = now.Add(store.WatchAhead)
}

// idle returns how long Run may wait after a claim that found nothing.
func (w *watcher) idle(poll time.Duration, now time.Time) time.Duration {
	if w.signals == nil || now.Before(w.busy) {
		return poll
	}
	return max(poll, idlePoll)
}

// breath returns how long Run waits after a claim that found something.
func (w *watcher) breath(d time.Duration) time.Duration {
	if w.signals == nil {
		return d
	}
	return min(d, busyWatch)
}
