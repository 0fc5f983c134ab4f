package async

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/latchkey-go/latchkey/store"
)

const (
	// finishers is how many of a running hub's goroutines write down what was
	// delivered, so that a store that syncs many writes at once can.
	finishers = 16
	// unfinished is how many deliveries wait for that at most, and
	// smallOutcome how many bytes one may have that does.
	unfinished   = 256
	smallOutcome = 64 << 10
)

// finisher writes down for others that their results were delivered, while
// the hub runs. Who has answered needn't wait for that: were it lost, the claim
// would lapse, and evidence tell that the result was delivered.
type finisher struct {
	queue chan finished

	mu   sync.RWMutex
	runs int // calls of Run under way
}

// finished is an entry whose outcome Temporal has taken.
type finished struct {
	entry entry
	mark  string
}

// offer reports whether somebody will write it down.
func (f *finisher) offer(d finished) bool {
	if len(d.entry.rec.Outcome.Payload) > smallOutcome {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.runs == 0 {
		return false
	}
	select {
	case f.queue <- d:
		return true
	default:
		return false
	}
}

// finish writes down what is offered until stop is closed, and what was offered
// by then.
func (h *Hub) finish(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case d := <-h.finisher.queue:
			h.finishOne(ctx, d)
		case <-stop:
			for {
				select {
				case d := <-h.finisher.queue:
					h.finishOne(ctx, d)
				default:
					return
				}
			}
		}
	}
}

func (h *Hub) finishOne(ctx context.Context, d finished) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	_, err := h.conclude(ctx, d.entry, d.mark, undelivered(nil), settler)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		h.log.WarnContext(ctx, "async: a delivery could not be recorded, and is found out again when its claim lapses",
			slog.String("callback", shortID(d.entry.id)), slog.Any("error", err))
	}
}

// runFinishers starts what a running hub has, and returns what ends it.
func (h *Hub) runFinishers(ctx context.Context) (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range finishers {
		all.Go(func() { h.finish(ctx, stop) })
	}
	count := func(n int) {
		h.finisher.mu.Lock()
		h.finisher.runs += n
		h.finisher.mu.Unlock()
	}
	count(1)
	return func() {
		count(-1) // from here on nothing is offered, unless another Run is there to take it
		close(stop)
		all.Wait()
	}
}
