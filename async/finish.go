package async

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

const (
	// gather is for how long deliveries are gathered that are written down
	// together, and batch how many at most.
	gather = 50 * time.Millisecond
	batch  = 64
	// beside is how many of a batch are written at a time. Those who answer
	// use the same store, and a Redis client has ten connections for each
	// processor unless told otherwise.
	beside = 16
	// unfinished is how many deliveries wait for that at most, and
	// smallRecord how many bytes one may have that does.
	unfinished  = 256
	smallRecord = 64 << 10
)

// finisher writes down for others that their results were delivered, while
// the hub runs. Who has answered needn't wait for that: were it lost, the claim
// would lapse, and evidence tell that the result was delivered.
type finisher struct {
	queue chan finished
	write func(ctx context.Context, d finished)

	mu   sync.RWMutex
	runs int // calls of Run under way
}

// finished is an entry whose outcome Temporal has taken.
type finished struct {
	entry entry
	mark  string
}

// count adds to the calls of Run that are under way, and returns how many are.
func (f *finisher) count(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs += n
	return f.runs
}

// offer reports whether somebody will write it down.
func (f *finisher) offer(d finished) bool {
	r := d.entry.rec
	if len(r.Outcome.Payload)+len(r.Details) > smallRecord || r.Key != "" {
		return false // a key is free for the next activity when this is written
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

// finish writes down what is offered, until stop is closed. It gathers for a
// moment, so that a store which syncs many writes at once has many.
func (f *finisher) finish(ctx context.Context, stop <-chan struct{}) {
	ctx = context.WithoutCancel(ctx)
	for {
		select {
		case <-stop: // what waits is left to another Run, or to drain
			return
		default:
		}
		select {
		case d := <-f.queue:
			timer := time.NewTimer(gather)
			select {
			case <-timer.C:
			case <-stop:
			}
			timer.Stop()
			f.finishAll(ctx, d)
		case <-stop:
			return
		}
	}
}

// drain writes down what was offered before the last Run has ended, as far as
// the store takes it by then: what is left is found out again.
func (f *finisher) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case d := <-f.queue:
			f.finishAll(ctx, d)
		default:
			return
		}
	}
}

// finishAll writes down first and what waits behind it, several at a time.
func (f *finisher) finishAll(ctx context.Context, first finished) {
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	all := []finished{first}
	for more := true; more && len(all) < batch; {
		select {
		case d := <-f.queue:
			all = append(all, d)
		default:
			more = false
		}
	}
	var writes sync.WaitGroup
	defer writes.Wait()
	room := make(chan struct{}, beside)
	for _, d := range all {
		room <- struct{}{}
		writes.Go(func() {
			defer func() { <-room }()
			f.write(ctx, d)
		})
	}
}

// finishOne writes down that an outcome was delivered.
func (h *Hub) finishOne(ctx context.Context, d finished) {
	_, err := h.conclude(ctx, d.entry, d.mark, undelivered(nil), settler)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		h.storeFailed(ctx, d.entry.id, err) // the delivery is found out again when its claim lapses
	}
}

// run starts what a running hub has, and returns what ends it.
func (f *finisher) run(ctx context.Context) (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { f.finish(ctx, stop) })
	f.count(1)
	return func() {
		last := f.count(-1) == 0
		close(stop)
		all.Wait()
		if last { // nothing is offered any more; else another Run takes it
			f.drain(ctx)
		}
	}
}
