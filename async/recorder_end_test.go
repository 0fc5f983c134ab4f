package async_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// A business key is free when the answering call returns. The next activity
// must not wait for a hub that gathers its records.
func TestKeyIsFreeWhenTheAnswerIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		runHub(t, w.hub)
		synctest.Wait()
		first := w.mustKeyed(run("w", 0))
		wantNil(t, w.open(first).Complete(t.Context(), Decision{}))
		w.wantState(async.Closed)
		if id := w.mustKeyed(run("other", 1)); id == "" || id == first {
			t.Errorf("with the key free, the other workflow asked with %q", id)
		}
	})
}

// hangingEnd is a store that accepts no write that closes an entry. A write
// that closes an entry returns an error when its context ends.
type hangingEnd struct {
	store.Store
	mended atomic.Bool
}

func (s *hangingEnd) Put(ctx context.Context, e store.Entry) (uint64, error) {
	r, err := async.DecodeRecord(e)
	if err == nil && r.State == record.Closed && !s.mended.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.Store.Put(ctx, e)
}

// queueFinished delivers n results that a running hub must record and cannot.
func queueFinished(t *testing.T, w *world, n int) {
	t.Helper()
	for i := range n {
		info := attemptNow(1, 0)
		info.ActivityID = fmt.Sprint(i)
		_ = async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			return p.Complete(ctx, Decision{})
		})
	}
	w.wantSent(n)
}

// A store that hangs delays the end of Run by at most a claim time, however
// many deliveries Run has still to record. Other hubs find out about those
// deliveries when the claims expire.
func TestRunEndsWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &hangingEnd{Store: store.NewMemory()}
		w := newWorld(t, func(o *async.Options) { o.Store = s })
		stop := runHub(t, w.hub)
		synctest.Wait()
		const n = 300 // 64 of the deliveries are being written
		queueFinished(t, w, n)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Run took %v to end with %d deliveries to write down in a store that hangs, want a claim time of 10 s at most", took, n)
		}
		s.mended.Store(true)
		pass(11 * time.Second)
		w.work(w.hub)
		w.wantSent(n)
		closed := 0
		for e, err := range w.store.List(t.Context()) {
			wantNil(t, err)
			r, err := async.DecodeRecord(e)
			if wantNil(t, err); r.End == record.EndDelivered {
				closed++
			}
		}
		if closed != n {
			t.Errorf("%d of %d are known to be delivered when their claims have lapsed, want all", closed, n)
		}
	})
}

// If one of two Runs of a hub ends, the other one records the deliveries that
// the first has not taken.
func TestOneRunEndsBeforeTheOtherHasWrittenAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &hangingEnd{Store: store.NewMemory()}
		w := newWorld(t, func(o *async.Options) { o.Store = s })
		first, second := runHub(t, w.hub), runHub(t, w.hub)
		synctest.Wait()
		queueFinished(t, w, 300) // each Run has taken 64 of the deliveries
		began := time.Now()
		first()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("one of two Runs took %v to end, want it to wait for no more than the writes that it has begun, which have 5 s", took)
		}
		s.mended.Store(true)
		pass(time.Minute)
		second()
		w.wantSent(300)
		for e, err := range w.store.List(t.Context()) {
			wantNil(t, err)
			r, err := async.DecodeRecord(e)
			if wantNil(t, err); r.End != record.EndDelivered {
				t.Fatalf("an entry is %v a minute later, want it closed by the other Run", async.State(r.State))
			}
		}
	})
}
