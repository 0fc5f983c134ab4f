package async

import (
	"context"
	"sync"
	"time"
)

const (
	// gatherTime is how long deliveries are gathered for one batch. gatherMost
	// is the maximum number in a batch.
	gatherTime = 50 * time.Millisecond
	gatherMost = 64
	// recordsAtOnce is how many deliveries of a batch are written at a time.
	// Callers that answer use the same store, and a Redis client has ten
	// connections for each processor by default.
	recordsAtOnce = 16
	// recorderQueue is the maximum number of deliveries that wait to be recorded,
	// and recorderBytes the maximum size of one of them.
	recorderQueue = 256
	recorderBytes = 64 << 10
)

// recorder records deliveries while the hub runs, so that callers that answer
// need not wait for that write. If a delivery is not recorded, its claim
// expires, and Temporal's history shows that the result was delivered.
type recorder struct {
	queue chan delivery
	write func(ctx context.Context, d delivery)

	mu   sync.RWMutex
	runs int // number of running calls of Run
}

// delivery is an entry whose outcome Temporal has accepted.
type delivery struct {
	entry entry
	mark  string
}

// count adds n to the number of running calls of Run, and returns the number.
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
		return false // a business key becomes free for the next activity by this write
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

// run starts to record, and returns the function that ends it.
func (r *recorder) run(ctx context.Context) (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { r.gather(ctx, stop) })
	r.count(1)
	return func() {
		last := r.count(-1) == 0
		close(stop)
		all.Wait()
		if last { // no delivery is offered any more; if another Run is left, that one records the rest
			r.drain(ctx)
		}
	}
}

// gather records the offered deliveries until stop is closed. gather waits a
// moment to fill a batch, because some stores sync many writes at once.
func (r *recorder) gather(ctx context.Context, stop <-chan struct{}) {
	ctx = context.WithoutCancel(ctx)
	for {
		select {
		case <-stop: // another Run or drain handles the rest
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

// drain records the deliveries that were offered before the last Run ended, as
// far as the store accepts them within wrapUp.
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

// recordAll records the first delivery and those that wait behind it, several
// at a time.
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
