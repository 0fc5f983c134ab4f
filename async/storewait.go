package async

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

const (
	defaultStoreWait = 30 * time.Second
	maxStoreWait     = time.Hour

	// storeTry is the time limit of one call to the store within Start.
	storeTry = 5 * time.Second
	// leastTry is the shortest time limit, for a short heartbeat timeout.
	leastTry = 250 * time.Millisecond

	firstStoreRetry = 100 * time.Millisecond
	lastStoreRetry  = 16 * firstStoreRetry
)

// checkStoreWait checks Options.StoreWait, and applies its default. After
// checkStoreWait, zero means that Start does not wait.
func checkStoreWait(d time.Duration) (time.Duration, error) {
	switch {
	case d == 0:
		return defaultStoreWait, nil
	case d < 0:
		return 0, nil
	case d > maxStoreWait:
		return 0, fmt.Errorf("async: Options.StoreWait must be at most %v, or negative to not wait, got %v", maxStoreWait, d)
	}
	return d, nil
}

// storeWait is the store for one call of Start. storeWait repeats Get and Put
// while the store is unreachable, and keeps the attempt alive during this time.
// Only one goroutine may use a storeWait.
type storeWait struct {
	store.Store
	starter *starter
	stored  entries         // through this store
	id      string          // ID of the attempt's entry
	attempt *record.Record  // the fields about the attempt in this record never change
	ended   <-chan struct{} // closed when the activity's context ends; nil if the calls have that context
	heard   time.Time       // when the server last heard of the attempt, by the slower of two clocks
	until   time.Time       // when the wait ends; zero if no call has failed yet
}

// newStoreWait returns the wait of an attempt that begins.
func (s *starter) newStoreWait(id string, r *record.Record) *storeWait {
	w := &storeWait{
		Store: s.entries.store, starter: s, stored: *s.entries,
		id: id, attempt: r, heard: begun(r, time.Now()),
	}
	w.stored.store = w
	return w
}

// attemptOf returns the fields of an attempt that a heartbeat needs. No rule
// changes this record while the entry's record changes.
func attemptOf(r *record.Record) *record.Record {
	return &record.Record{
		Namespace: r.Namespace, WorkflowId: r.WorkflowId, WorkflowType: r.WorkflowType, RunId: r.RunId,
		ActivityId: r.ActivityId, ActivityType: r.ActivityType, ActivityRunId: r.ActivityRunId, TaskQueue: r.TaskQueue,
		TaskToken: r.TaskToken, Scheduled: r.Scheduled, Attempt: r.Attempt, Started: r.Started,
		Deadline: r.Deadline, HeartbeatTimeout: r.HeartbeatTimeout, State: record.Waiting,
	}
}

// afterwards makes w the wait of an attempt whose function has returned. The
// wait outlives the activity's context by at most wrapUp.
func (w *storeWait) afterwards(ctx context.Context, heard time.Time) *storeWait {
	w.ended, w.heard, w.until = ctx.Done(), heard, time.Time{}
	return w
}

// entries returns the entries of the store, which are read and written through
// w.
func (w *storeWait) entries() *entries { return &w.stored }

// Get repeats the store's Get.
func (w *storeWait) Get(ctx context.Context, id string) (e store.Entry, err error) {
	err = w.do(ctx, func(ctx context.Context) (err error) {
		e, err = w.Store.Get(ctx, id)
		return err
	})
	return e, err
}

// Put repeats the store's Put. After a lost reply, the store reports a conflict
// with the first try, and entries recognizes that by the body.
func (w *storeWait) Put(ctx context.Context, e store.Entry) (version uint64, err error) {
	err = w.do(ctx, func(ctx context.Context) (err error) {
		version, err = w.Store.Put(ctx, e)
		return err
	})
	return version, err
}

// do calls f until the store answers, or the wait ends. Every call of f has a
// time limit, and must be safe to repeat.
func (w *storeWait) do(ctx context.Context, f func(ctx context.Context) error) error {
	var stop func() time.Time
	defer func() {
		if stop != nil {
			w.heard = stop()
		}
	}()
	begin := time.Now()
	for tries := 1; ; tries++ {
		try := withTimeout(ctx, w.tryTime())
		err := f(try)
		try.end()
		if err == nil || !isAway(err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w, while the store was away: %w", context.Cause(ctx), err)
		}
		if w.until.IsZero() {
			w.until = time.Now().Add(w.limit())
		}
		w.cut()
		pause := lifecycle.Doubled(firstStoreRetry, lastStoreRetry, tries)
		if !time.Now().Add(pause).Before(w.until) {
			if waited := time.Since(begin); tries > 1 {
				err = fmt.Errorf("the store did not answer within %v; this attempt no longer waits for it: %w", waited.Round(time.Millisecond), err)
			}
			return err
		}
		if stop == nil {
			w.starter.troubles.storeFailed(ctx, w.id, err)
			stop = w.starter.beatMeanwhile(ctx, entry{id: w.id, rec: attemptOf(w.attempt)}, w.heard, false)
		}
		w.pause(ctx, min(jitter(pause), time.Until(w.until)))
	}
}

// limit returns how long Start waits in total: never more than half of the
// attempt's remaining time.
func (w *storeWait) limit() time.Duration {
	limit := w.starter.storeWait
	if deadline := fromNano(w.attempt.Deadline); !deadline.IsZero() {
		limit = min(limit, time.Until(deadline)/2)
	}
	return limit
}

// tryTime returns the time limit of one call. A call that hangs must leave time
// for a heartbeat.
func (w *storeWait) tryTime() time.Duration {
	if timeout := time.Duration(w.attempt.HeartbeatTimeout); timeout > 0 {
		return max(leastTry, min(storeTry, timeout/4))
	}
	return storeTry
}

// pause waits before the next try.
func (w *storeWait) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-w.ended:
	}
}

// cut ends the wait soon if the activity's context has ended.
func (w *storeWait) cut() {
	select {
	case <-w.ended:
		w.ended = nil
		if soon := time.Now().Add(wrapUp); soon.Before(w.until) {
			w.until = soon
		}
	default:
	}
}

// isAway reports whether an error of the store may be temporary.
func isAway(err error) bool {
	for _, definite := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrCorrupt, store.ErrClosed, store.ErrInvalid} {
		if errors.Is(err, definite) {
			return false
		}
	}
	return true
}
