package async_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// lateEnd is a store that blocks every write that closes an entry until the
// test releases it.
type lateEnd struct {
	store.Store
	release chan struct{}
	waiting atomic.Int64 // includes writes that have waited before
	written atomic.Int64
}

func (s *lateEnd) Put(ctx context.Context, e store.Entry) (uint64, error) {
	r, err := async.DecodeRecord(e)
	if err != nil || r.State != record.Closed {
		return s.Store.Put(ctx, e)
	}
	s.waiting.Add(1)
	<-s.release
	defer s.written.Add(1)
	return s.Store.Put(ctx, e)
}

// newLateEnd creates a world with such a store, in which no write is released
// yet.
func newLateEnd(t *testing.T) (*world, *lateEnd) {
	t.Helper()
	s := &lateEnd{Store: store.NewMemory(), release: make(chan struct{})}
	return newWorld(t, func(o *async.Options) { o.Store = s }), s
}

// during starts a call, waits until nothing more can happen, and reports
// whether the call has returned.
func during(t *testing.T, call func() error) (back func() bool) {
	t.Helper()
	var is atomic.Bool
	go func() {
		if err := call(); err != nil {
			t.Errorf("the call returned %v", err)
		}
		is.Store(true)
	}()
	return func() bool {
		synctest.Wait()
		return is.Load()
	}
}

// The running hub records that a result was delivered. The caller does not wait
// for the record, but Run does when it ends.
func TestDeliveredResultIsWrittenDownByRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newLateEnd(t)
		stop := runHub(t, w.hub)
		p := w.open(w.startNow(1, 0, async.StartOptions{}, nil))
		synctest.Wait()
		back := during(t, func() error { return p.Complete(t.Context(), Decision{Approved: true}) })
		if !back() {
			t.Error("Complete waits until it is written down that the result was delivered, want it back when Temporal has taken it")
		}
		w.wantSent(1)
		w.wantState(async.Settled)
		pass(time.Second) // the recorder gathers writes for a moment
		if n := s.waiting.Load(); n != 1 {
			t.Errorf("%d writes are under way, want the one that closes the entry", n)
		}
		stopped := during(t, func() error { stop(); return nil })
		if stopped() {
			t.Error("Run has ended before it was written down that the result was delivered")
		}
		close(s.release)
		if !stopped() {
			t.Error("Run has not ended, although all is written down")
		}
		w.wantState(async.Closed)
	})
}

// answerMany answers n activities, each from a goroutine of its own, and
// returns how many of the calls have returned.
func (w *world) answerMany(n int) (back *atomic.Int64) {
	back = new(atomic.Int64)
	for i := range n {
		info := attemptNow(1, 0)
		info.ActivityID = strings.Repeat("x", i+1)
		_ = async.StartAttempt(w.t.Context(), w.hub, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
			go func() {
				wantNil(w.t, p.Complete(context.WithoutCancel(w.t.Context()), Decision{}))
				back.Add(1)
			}()
			synctest.Wait()
			return nil
		})
	}
	return back
}

// Callers that answer need the store too, so only a limited number of
// deliveries are recorded at a time.
func TestDeliveriesAreWrittenDownSomeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newLateEnd(t)
		runHub(t, w.hub)
		const n, atATime = 40, 16
		if back := w.answerMany(n).Load(); back != n {
			t.Errorf("%d of %d calls of Complete are back", back, n)
		}
		pass(time.Second)
		for written := range int64(n) {
			if under := s.waiting.Load() - written; under != min(atATime, n-written) {
				t.Errorf("%d writes are under way when %d are done, want %d", under, written, min(atATime, n-written))
			}
			s.release <- struct{}{}
			synctest.Wait()
		}
		if written := s.written.Load(); written != n {
			t.Errorf("%d deliveries were written down, want %d", written, n)
		}
	})
}

// More deliveries wait than are written at a time: Run drains the waiting
// deliveries before it ends.
func TestRunDrainsWhatIsToBeWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newLateEnd(t)
		stop := runHub(t, w.hub)
		// Up to 64 deliveries are being written and 256 wait. Further callers
		// write their own record.
		const least, n = 256, 64 + 256 + 5
		back := w.answerMany(n)
		taken := back.Load()
		if taken < least || taken == n {
			t.Errorf("%d of %d calls of Complete are back while nothing can be written, want at least %d, and not all", taken, n, least)
		}
		stopped := during(t, func() error { stop(); return nil })
		if stopped() {
			t.Error("Run has ended before all was written down")
		}
		close(s.release)
		if !stopped() || s.written.Load() < taken {
			t.Errorf("%d deliveries were written down when Run ended, want %d", s.written.Load(), taken)
		}
		synctest.Wait()
		for e, err := range w.store.List(t.Context()) {
			wantNil(t, err)
			r, err := async.DecodeRecord(e)
			if wantNil(t, err); r.State != record.Closed {
				t.Errorf("an entry is %v after Run has ended, want it closed", async.State(r.State))
			}
		}
	})
}

// The caller records the delivery within its call if no Run would record it, or
// if it is not a small result.
func TestDeliveredIsWrittenDownWithinTheCall(t *testing.T) {
	complete := func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) }
	large := func(n int) func(ctx context.Context, p async.Pending[Decision]) error {
		return func(ctx context.Context, p async.Pending[Decision]) error {
			return p.Complete(ctx, Decision{Reason: strings.Repeat("x", n)})
		}
	}
	progress := func(n int) func(ctx context.Context, p async.Pending[Decision]) error {
		return func(ctx context.Context, p async.Pending[Decision]) error {
			if err := p.Heartbeat(ctx, strings.Repeat("x", n)); err != nil {
				return err
			}
			return p.Complete(ctx, Decision{})
		}
	}
	for name, c := range map[string]struct {
		runs   bool
		within bool
		answer func(ctx context.Context, p async.Pending[Decision]) error
	}{
		"details of 63 KiB":     {true, false, progress(63 << 10)},
		"details of 64 KiB":     {true, true, progress(64 << 10)},
		"no hub runs":           {false, true, complete},
		"a result of 63 KiB":    {true, false, large(63 << 10)},
		"a result of 64 KiB":    {true, true, large(64 << 10)},
		"a failure":             {true, true, func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("no")) }},
		"a cancellation":        {true, true, func(ctx context.Context, p async.Pending[Decision]) error { return p.ReportCanceled(ctx) }},
		"a result, a hub runs":  {true, false, complete},
		"a result, it has been": {true, true, nil}, // stopped
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newLateEnd(t)
				w.completer.DescribeFunc = cancelRequested
				if c.runs {
					stop := runHub(t, w.hub)
					synctest.Wait()
					if c.answer == nil {
						stop()
					}
				}
				answer := c.answer
				if answer == nil {
					answer = complete
				}
				p := w.open(w.startNow(1, 0, async.StartOptions{}, nil))
				back := during(t, func() error { return answer(t.Context(), p) })
				isBack := back()
				pass(time.Second)
				if isBack == c.within || s.waiting.Load() != 1 {
					t.Errorf("the call is back before it is written down: %t, want %t; %d writes are under way, want one", isBack, !c.within, s.waiting.Load())
				}
				close(s.release)
				if !back() {
					t.Fatal("the call is not back, although it is written down")
				}
				w.wantState(async.Closed)
			})
		})
	}
}

// If one of two Runs of a hub ends, the other one takes the offered deliveries.
func TestTwoRunsWriteDownDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newLateEnd(t)
		first, second := runHub(t, w.hub), runHub(t, w.hub)
		synctest.Wait()
		first()
		p := w.open(w.startNow(1, 0, async.StartOptions{}, nil))
		back := during(t, func() error { return p.Complete(t.Context(), Decision{}) })
		if !back() {
			t.Error("Complete waits until it is written down that the result was delivered, although a Run goes on")
		}
		close(s.release)
		second()
		w.wantState(async.Closed)
		if n := s.written.Load(); n != 1 {
			t.Errorf("%d writes have closed the entry, want one", n)
		}
	})
}
