package async

import (
	"context"
	"sync"
	"time"
)

const (
	// gatherTime is how long deliveries are gathered that are recorded together,
	// and gatherMost is the maximum number of them.
	gatherTime = 50 * time.Millisecond
	gatherMost = 64
	// recordsAtOnce is how many of a batch are written at a time. Callers that
	// answer use the same store, and a Redis client has ten connections for each
	// processor by default.
	recordsAtOnce = 16
	// recorderQueue is the maximum number of deliveries that wait to be recorded,
	// and recorderBytes the maximum size of one of them.
	recorderQueue = 256
	recorderBytes = 64 << 10
)

// recorder records deliveries while the hub runs, so that callers that answer
// need not wait for that write. If a delivery is not recorded, its claim lapses,
// and Temporal's history shows that the result was delivered.
type recorder struct {
	queue chan delivery
	write func(ctx context.Context, d delivery)

	mu   sync.RWMutex
	runs int // calls of Run under way
}

// delivery is an entry whose outcome Temporal has accepted.
type delivery struct {
	entry entry
	mark  string
}

// count adds to the calls of Run that are under way, and returns how many are.
func (r *recorder) count(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs += n
	return r.runs
}

// offer reports whether the recorder will record the delivery.
func (r *recorder) offer(d delivery) bool {
	rec := d.entry.rec
	if len(rec.Outcome.Payload)+len(rec.Details) > recorderBytes || rec.Key != "" {
		return false // a key is free for the next activity when this is written
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.runs == 0 {
		return false
	}
	select {
	case r.queue <- d:
		return true
	default:
		return false
	}
}

// run begins to record, and returns the function that ends it.
func (r *recorder) run(ctx context.Context) (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { r.gather(ctx, stop) })
	r.count(1)
	return func() {
		last := r.count(-1) == 0
		close(stop)
		all.Wait()
		if last { // nothing is offered any more; otherwise another Run records it
			r.drain(ctx)
		}
	}
}

// gather records what is offered, until stop is closed. It gathers for a moment,
// so that a store that syncs many writes at once has many.
func (r *recorder) gather(ctx context.Context, stop <-chan struct{}) {
	ctx = context.WithoutCancel(ctx)
	for {
		select {
		case <-stop: // what waits is left to another Run, or to drain
			return
		default:
		}
		select {
		case d := <-r.queue:
			timer := time.NewTimer(gatherTime)
			select {
			case <-timer.C:
			case <-stop:
			}
			timer.Stop()
			r.recordAll(ctx, d)
		case <-stop:
			return
		}
	}
}

// drain records what was offered before the last Run has ended, as far as the
// store accepts it within wrapUp.
func (r *recorder) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case d := <-r.queue:
			r.recordAll(ctx, d)
		default:
			return
		}
	}
}

// recordAll records the first delivery and those that wait behind it, several at
// a time.
func (r *recorder) recordAll(ctx context.Context, first delivery) {
	ctx, cancel := context.WithTimeout(ctx, wrapUp)
	defer cancel()
	all := []delivery{first}
	for more := true; more && len(all) < gatherMost; {
		select {
		case d := <-r.queue:
			all = append(all, d)
		default:
			more = false
		}
	}
	var writes sync.WaitGroup
	defer writes.Wait()
	room := make(chan struct{}, recordsAtOnce)
	for _, d := range all {
		room <- struct{}{}
		writes.Go(func() {
			defer func() { <-room }()
			r.write(ctx, d)
		})
	}
}
