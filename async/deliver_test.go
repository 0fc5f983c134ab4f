package async_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// The cases are the rows of NotFound in the state table. After NotFound, the
// answer to Describe decides what happens to the outcome.
func TestNotFound(t *testing.T) {
	result := func(p async.Pending[Decision]) error { return p.Complete(t.Context(), Decision{}) }
	failure := func(p async.Pending[Decision]) error {
		return p.Fail(t.Context(), temporal.NewApplicationError("no", "No"))
	}
	cancellation := func(p async.Pending[Decision]) error { return p.ReportCanceled(t.Context(), "why") }
	started := attempt(1).StartedTime
	for _, c := range []struct {
		name   string
		answer func(p async.Pending[Decision]) error
		status completer.Status
		byID   error // the answer to the call by ID
		mark   bool  // the last failure has the outcome's mark
		sent   bool  // by ID
		state  async.State
		err    error
	}{
		{"result, in back-off", result, completer.Status{Pending: true}, nil, false, true, async.Closed, nil},
		{"result, running", result, completer.Status{Pending: true, Running: true, Started: started.Add(time.Hour)}, nil, false, true, async.Closed, nil},
		{"result, gone meanwhile", result, completer.Status{Pending: true}, completer.ErrOver, false, false, async.Settled, nil},
		{"result, ours", result, completer.Status{End: completer.EndOurs}, nil, false, false, async.Closed, nil},
		{"result, buffered", result, completer.Status{End: completer.EndBuffered}, nil, false, false, async.Settled, nil},
		{"result, timed out", result, completer.Status{End: completer.EndTimedOut}, nil, false, false, async.Closed, async.ErrExpired},
		{"result, other", result, completer.Status{End: completer.EndOther}, nil, false, false, async.Closed, completer.ErrOver},
		{"result, unknown", result, completer.Status{End: completer.EndUnknown}, nil, false, false, async.Closed, async.ErrUnknownEnd},
		{"failure, renumbered", failure, completer.Status{Pending: true, Running: true, Started: started}, nil, false, true, async.Closed, nil},
		{"failure, another runs", failure, completer.Status{Pending: true, Running: true, Started: started.Add(time.Hour)}, nil, false, false, async.Settled, nil},
		{"failure, another runs by it", failure, completer.Status{Pending: true, Running: true, Started: started.Add(time.Hour)}, nil, true, false, async.Closed, nil},
		{"failure, in back-off", failure, completer.Status{Pending: true}, nil, false, false, async.Settled, nil},
		{"failure, in back-off by it", failure, completer.Status{Pending: true}, nil, true, false, async.Closed, nil},
		{"failure, ours", failure, completer.Status{End: completer.EndOurs}, nil, false, false, async.Closed, nil},
		{"failure, other", failure, completer.Status{End: completer.EndOther}, nil, false, false, async.Closed, completer.ErrOver},
		{"cancellation, renumbered", cancellation, completer.Status{Pending: true, Running: true, Started: started}, nil, false, true, async.Closed, nil},
		{"cancellation, another runs", cancellation, completer.Status{Pending: true, Running: true, Started: started.Add(time.Hour)}, nil, false, false, async.Settled, nil},
		{"cancellation, in back-off", cancellation, completer.Status{Pending: true}, nil, false, false, async.Settled, nil},
		{"cancellation, in back-off of that time", cancellation, completer.Status{Pending: true, Started: started}, nil, false, false, async.Settled, nil},
		{"cancellation, ours", cancellation, completer.Status{End: completer.EndOurs}, nil, false, false, async.Closed, nil},
		{"cancellation, other", cancellation, completer.Status{End: completer.EndOther}, nil, false, false, async.Closed, completer.ErrOver},
		{"cancellation, buffered", cancellation, completer.Status{End: completer.EndBuffered}, nil, false, false, async.Settled, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			mark, sent := "", false
			w.completer.CompleteFunc = func(_ context.Context, tg completer.Target, o completer.Outcome) error {
				if tg.TaskToken != nil {
					mark = o.Mark
					return completer.ErrOver
				}
				sent = c.byID == nil
				return c.byID
			}
			w.completer.DescribeFunc = func(ctx context.Context, tg completer.Target, m string) (completer.Status, error) {
				if m == "" { // the test asks before a cancellation is settled
					return cancelRequested(ctx, tg, m)
				}
				if tg.TaskToken != nil || m != mark {
					t.Errorf("described %v with mark %q, want it without the token and with %q", tg, m, mark)
				}
				s := c.status
				if c.mark {
					s.LastMark = mark
				}
				return s, nil
			}
			id := w.start(1, async.StartOptions{})
			err := c.answer(w.open(id))
			if c.err == nil {
				wantNil(t, err)
			} else {
				wantErr(t, err, async.ErrClosed, c.err)
			}
			w.wantState(c.state)
			if sent != c.sent {
				t.Errorf("sent by ID: %v, want %v", sent, c.sent)
			}
		})
	}
}

func TestRefusalIsRetriedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrCallRefused }
		p := w.open(w.start(1, async.StartOptions{}))
		wantNil(t, p.Complete(t.Context(), Decision{}))
		w.wantState(async.Settled)
		e, r := w.stored()
		if in := time.Until(e.Due); in < 3*time.Minute || r.Delivery.LastError != "refused" {
			t.Errorf("tried again in %v after %q, want minutes and refused", in, r.Delivery.LastError)
		}
	})
}

// Temporal never withdraws a request for cancellation, so it does not refuse a
// cancellation that was settled. If Temporal refuses a settled cancellation
// nevertheless, the accepted outcome stays, and the hook Refused is called.
func TestSettledCancellationThatIsRefused(t *testing.T) {
	in(t, func(t *testing.T) {
		w, o := hooked(t)
		w.completer.DescribeFunc = cancelRequested
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
			return completer.ErrCancelNotRequested
		}
		p := w.pendFor(time.Hour, async.StartOptions{})
		wantNil(t, p.ReportCanceled(t.Context(), "why"))
		var want []string
		for tries := 1; tries <= 5; tries++ {
			i := w.open(p.ID()).Info()
			wait := time.Until(i.NextDelivery)
			if i.State != async.Settled || i.Deliveries != tries || i.LastError != "refused" || wait < 225*time.Second || wait > 375*time.Second {
				t.Fatalf("after %d tries it is tried again in %v, want 5m give or take a quarter: %+v", tries, wait, i)
			}
			want = append(want, "refused")
			w.work(w.hub)
			o.want(t, want...)
			wantErr(t, o.why, completer.ErrRefused)
			wantErr(t, p.Complete(t.Context(), Decision{}), async.ErrSettled)
			time.Sleep(wait + time.Millisecond)
			w.work(w.hub)
		}
		w.completer.CompleteFunc = nil
		time.Sleep(375*time.Second + time.Millisecond)
		w.work(w.hub)
		if call := w.wantSent(1)[0]; call.Outcome.Canceled == nil {
			t.Errorf("sent %v, want the cancellation", call.Outcome)
		}
	})
}

func TestSettleIsAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.completer.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
			e, r := w.stored()
			if async.State(r.State) != async.Settled || time.Until(e.Due) != 10*time.Second {
				t.Errorf("while it is sent the entry is %v and due in %v, want settled and 10s", async.State(r.State), time.Until(e.Due))
			}
			deadline, ok := ctx.Deadline()
			if !ok || e.Due.Sub(deadline) < time.Second {
				t.Errorf("the call may last until %v, less than a second before its claim ends at %v", deadline, e.Due)
			}
			return nil
		}
		p := w.open(w.start(1, async.StartOptions{}))
		wantNil(t, p.Complete(t.Context(), Decision{}))
		w.wantSent(1)
		if e, _ := w.stored(); time.Until(e.Due) != 24*time.Hour {
			t.Errorf("the closed entry is due in %v, want the retention of 24h", time.Until(e.Due))
		}
	})
}

func TestCallerGoneWhileDelivering(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.completer.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
			cancel()
			time.Sleep(time.Second)
			return ctx.Err()
		}
		p := w.open(w.start(1, async.StartOptions{}))
		began := time.Now()
		wantNil(t, p.Complete(ctx, Decision{}))
		if took := time.Since(began); took != 0 {
			t.Errorf("Complete took %v after its caller has left", took)
		}
		w.wantState(async.Settled)
		time.Sleep(2 * time.Second)
		w.wantState(async.Closed) // the delivery has continued
	})
}
