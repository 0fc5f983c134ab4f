package async_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// work makes the hub do everything that is due now.
func (w *world) work(h *async.Hub) int {
	w.t.Helper()
	n, err := h.Work(w.t.Context())
	wantNil(w.t, err)
	return n
}

// in runs a test in virtual time.
func in(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// lasting returns an attempt whose time limit is d.
func lasting(d time.Duration) activity.Info {
	info := attempt(1)
	info.StartedTime = time.Now()
	info.Deadline = time.Now().Add(d)
	return info
}

// pendFor starts an activity whose attempt lasts for d of virtual time.
func (w *world) pendFor(d time.Duration, o async.StartOptions) async.Pending[Decision] {
	w.t.Helper()
	var id string
	err := async.StartAttempt(w.t.Context(), w.hub, lasting(d), o, func(_ context.Context, p async.Pending[Decision]) error {
		id = p.ID()
		return nil
	})
	if err != activity.ErrResultPending {
		w.t.Fatalf("Start: %v", err)
	}
	return w.open(id)
}

func TestOutboxDeliversWhatCouldNotBeDelivered(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = unavailable
		p := w.pendFor(time.Hour, async.StartOptions{})
		wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
		// The retries have a backoff and never end.
		for tries := 1; tries < 20; tries++ {
			i := w.open(p.ID()).Info()
			if i.State != async.Settled || i.Deliveries != tries {
				t.Fatalf("after %d tries the callback tells %+v", tries, i)
			}
			wait := time.Until(i.NextDelivery)
			if wait <= 0 || wait > 7*time.Minute {
				t.Fatalf("try %d comes in %v", tries+1, wait)
			}
			if n := w.work(w.hub); n != 0 {
				t.Fatalf("%d entries were tended before they were due", n)
			}
			time.Sleep(wait + time.Millisecond)
			if n := w.work(w.hub); n != 1 {
				t.Fatalf("%d entries were tended, want the one that is due", n)
			}
		}
		w.completer.CompleteFunc = nil
		time.Sleep(10 * time.Minute)
		w.work(w.hub)
		w.wantSent(1)
		w.wantState(async.Closed)
	})
}

func TestOutboxOfAnotherProcess(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		settler, err := async.New(async.Options{Store: w.store})
		wantNil(t, err)
		p, err := async.Open[Decision](t.Context(), settler, w.pendFor(time.Hour, async.StartOptions{}).ID())
		wantNil(t, err)
		wantNil(t, p.Complete(t.Context(), Decision{}))
		w.wantSent(0)
		time.Sleep(time.Millisecond)
		w.work(w.hub)
		w.wantSent(1)
		wantNil(t, p.Complete(t.Context(), Decision{}))
		if _, err := settler.Work(t.Context()); err == nil || !strings.Contains(err.Error(), "Completer") {
			t.Errorf("a hub without a completer worked: %v", err)
		}
		if err := settler.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Completer") {
			t.Errorf("a hub without a completer ran: %v", err)
		}
	})
}

// The hub that settled the outcome dies before the delivery, and its claim
// expires.
func TestLapsedClaimPassesOn(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.pendFor(time.Hour, async.StartOptions{})
		died := make(chan struct{})
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
			select {
			case <-died:
				return nil
			default:
				close(died)
				runtime.Goexit() // the delivery ends here, as with the death of the process
				return nil
			}
		}
		caller, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		wantNil(t, p.Complete(caller, Decision{}))
		if n := w.work(w.hub); n != 0 {
			t.Error("another hub took what is claimed")
		}
		time.Sleep(10*time.Second + time.Millisecond)
		w.work(w.hub)
		w.wantState(async.Closed)
	})
}

func TestRetentionEndsAnEntry(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(o *async.Options) { o.Retention = time.Hour })
		p := w.pendFor(time.Hour, async.StartOptions{})
		wantNil(t, p.Complete(t.Context(), Decision{}))
		time.Sleep(59 * time.Minute)
		w.work(w.hub)
		wantNil(t, p.Complete(t.Context(), Decision{})) // a repeat
		time.Sleep(2 * time.Minute)
		w.work(w.hub)
		wantErr(t, p.Complete(t.Context(), Decision{}), async.ErrNotFound)
		for range w.store.List(t.Context()) {
			t.Error("the entry is still there")
		}
	})
}

func TestDeadlineIsAQuestion(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		asked := 0
		status := completer.Status{Pending: true, Running: true} // the activity was paused, or its options were changed
		w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
			asked++
			return status, nil
		}
		var reason error
		p := w.pendFor(time.Minute, async.StartOptions{})
		time.Sleep(59 * time.Second)
		if w.work(w.hub); asked != 0 {
			t.Error("asked before the deadline")
		}
		for want := 5 * time.Second; want < time.Hour; want *= 2 {
			time.Sleep(2 * time.Second)
			for time.Until(w.due()) > 0 {
				time.Sleep(time.Until(w.due()))
			}
			before := asked
			w.work(w.hub)
			if asked != before+1 {
				t.Fatalf("asked %d times, want once more than %d", asked, before)
			}
			if next := time.Until(w.due()); next < want*3/4 || next > want*5/4 {
				t.Errorf("asked again in %v, want about %v", next, want)
			}
			w.wantState(async.Waiting)
		}
		status = completer.Status{End: completer.EndTimedOut}
		time.Sleep(2 * time.Hour)
		w.work(w.hub)
		reason = w.open(p.ID()).Info().End
		if !errors.Is(reason, async.ErrExpired) {
			t.Errorf("it ended by %v, want ErrExpired", reason)
		}
	})
}

func (w *world) due() time.Time {
	w.t.Helper()
	e, _ := w.stored()
	return e.Due
}

func TestRunStopsAndPassesOn(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		onTheWire := make(chan struct{})
		var ended atomic.Bool
		w.completer.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
			close(onTheWire)
			time.Sleep(3 * time.Second)
			ended.Store(ctx.Err() == nil)
			return nil
		}
		p := w.pendFor(time.Hour, async.StartOptions{})
		settler, err := async.New(async.Options{Store: w.store})
		wantNil(t, err)
		q, err := async.Open[Decision](t.Context(), settler, p.ID())
		wantNil(t, err)
		wantNil(t, q.Complete(t.Context(), Decision{}))
		ctx, stop := context.WithCancelCause(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- w.hub.Run(ctx) }()
		<-onTheWire
		begin := time.Now()
		cause := errors.New("deploy")
		stop(cause)
		if err := <-stopped; err != cause {
			t.Errorf("Run returned %v, want the cause", err)
		}
		if took := time.Since(begin); took > 10*time.Second || !ended.Load() {
			t.Errorf("Run took %v to stop, and finished what was on the wire: %v", took, ended.Load())
		}
		w.wantState(async.Closed)
	})
}

func TestIdleRunAsksSeldom(t *testing.T) {
	in(t, func(t *testing.T) {
		c := &counting{Store: store.NewMemory()}
		w := newWorld(t, func(o *async.Options) { o.Store = c })
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := w.hub.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run returned %v", err)
		}
		if n := c.claims.Load(); n < 40 || n > 90 {
			t.Errorf("an idle minute cost %d claims, want about one a second", n)
		}
	})
}

type counting struct {
	store.Store
	claims atomic.Int32
	err    atomic.Pointer[error]
}

func (c *counting) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	c.claims.Add(1)
	if err := c.err.Load(); err != nil {
		return nil, *err
	}
	return c.Store.Claim(ctx, now, until, n)
}

func TestRunOutlivesTheStore(t *testing.T) {
	in(t, func(t *testing.T) {
		c := &counting{Store: store.NewMemory()}
		w := newWorld(t, func(o *async.Options) { o.Store = c })
		broken := errors.New("redis away")
		c.err.Store(&broken)
		w.completer.CompleteFunc = nil
		settler, err := async.New(async.Options{Store: c})
		wantNil(t, err)
		q, err := async.Open[Decision](t.Context(), settler, w.pendFor(time.Hour, async.StartOptions{}).ID())
		wantNil(t, err)
		wantNil(t, q.Complete(t.Context(), Decision{}))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.hub.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		if n := c.claims.Load(); n > 40 {
			t.Errorf("a store that is away was asked %d times in ten minutes", n)
		}
		c.err.Store(nil)
		time.Sleep(time.Minute)
		w.wantSent(1)
		stop()
		<-done
	})
}

func TestNewerAndDamagedEntriesAreLeftAlone(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.pendFor(time.Second, async.StartOptions{})
		w.change(func(r *record.Record) { r.State = 99 })
		time.Sleep(time.Minute)
		_, before := w.stored()
		if n := w.work(w.hub); n != 1 {
			t.Errorf("tended %d", n)
		}
		e, after := w.stored()
		if after.String() != before.String() || time.Until(e.Due) < 30*time.Minute {
			t.Errorf("it was changed, or comes back in %v", time.Until(e.Due))
		}
	})
}

func TestAbandon(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = unavailable
		p := w.pendFor(time.Hour, async.StartOptions{})
		wantNil(t, p.Complete(t.Context(), Decision{}))
		wantNil(t, p.Abandon(t.Context()))
		wantNil(t, p.Abandon(t.Context()))
		wantErr(t, p.Complete(t.Context(), Decision{}), async.ErrClosed, async.ErrAbandoned)
		w.completer.CompleteFunc = nil
		time.Sleep(time.Hour)
		w.work(w.hub)
		w.wantSent(0)
		// A later attempt asks again.
		if id := w.start(2_000_000_000, async.StartOptions{}); id == "" || id == p.ID() {
			t.Errorf("a later attempt asked with %q, want a new ID", id)
		}
		q := w.open(callbackOf(w))
		wantNil(t, q.Complete(t.Context(), Decision{}))
		wantErr(t, q.Abandon(t.Context()), async.ErrClosed)
		var zero async.Callback
		wantErr(t, zero.Abandon(t.Context()), async.ErrNotFound)
	})
}

func callbackOf(w *world) string {
	e, r := w.stored()
	return async.CallbackID(e, r)
}

func TestIdempotencyKeys(t *testing.T) {
	w := newWorld(t)
	p := pend[Decision](t, w)
	ctx := async.WithIdempotencyKey(t.Context(), "message-1")
	wantNil(t, p.Complete(ctx, Decision{Approved: true}))
	wantNil(t, p.Complete(ctx, Decision{Approved: true, Reason: "spelt otherwise"}))
	wantErr(t, p.Reject(ctx, errors.New("another kind")), async.ErrSettled)
	wantErr(t, p.Complete(async.WithIdempotencyKey(t.Context(), "message-2"), Decision{Approved: true}), async.ErrSettled)
	if err := p.Complete(async.WithIdempotencyKey(t.Context(), strings.Repeat("x", 2000)), Decision{}); err == nil || !strings.Contains(err.Error(), "2000 bytes") {
		t.Errorf("a long key: %v", err)
	}
	w.wantSent(1)
}

func TestRateIsKept(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(o *async.Options) { o.Rate = 10 })
		begin := time.Now()
		for n := range 30 {
			info := lasting(time.Hour)
			info.ActivityID = string(rune('a' + n))
			var id string
			err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
				id = p.ID()
				return nil
			})
			if err != activity.ErrResultPending {
				t.Fatal(err)
			}
			wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
		}
		w.wantSent(30)
		if took := time.Since(begin); took < 2800*time.Millisecond || took > 4*time.Second {
			t.Errorf("30 calls at 10 a second took %v", took)
		}
	})
}
