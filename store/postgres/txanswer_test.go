package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/converter"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// TestTxIsUsableAfterAnswersOfTheHub answers in a transaction and gets each
// refusal that an application meets there. The transaction then still takes the
// application's row, and the commit keeps the row and the first answer.
func TestTxIsUsableAfterAnswersOfTheHub(t *testing.T) {
	t.Parallel()
	inTransactions(t, func(t *testing.T, s handle, begin begin) {
		o := officeOn(t, s)
		id := o.ask(t, newEnvironment(), 1)
		tx := begin(t, s)
		within := o.hub.With(tx.store)
		first, other := Decision{Approved: true, By: "Ann"}, Decision{By: "Bob"}
		for _, c := range []struct {
			what   string
			result *Decision
			want   error
		}{
			{"the first answer", &first, nil},
			{"the same answer again", &first, nil},
			{"another answer", &other, async.ErrSettled},
			{"an invalid result", nil, async.ErrInvalidResult},
			{"the same answer after the refusals", &first, nil},
		} {
			p, err := async.Open[*Decision](t.Context(), within, id)
			if err == nil {
				err = p.Complete(t.Context(), c.result)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.what, err, c.want)
			}
		}
		if err := tx.exec(s.row("row")); err != nil {
			t.Fatalf("the application's row: got %v, want nil: the transaction must be usable", err)
		}
		if got := o.state(t, id); got != async.Waiting || s.hasRow(t, "row") {
			t.Errorf("before the commit: the entry is %v and the row is there: %t, want waiting and false", got, s.hasRow(t, "row"))
		}
		if err := tx.commit(); err != nil {
			t.Fatalf("commit: got %v, want nil", err)
		}
		if got := o.state(t, id); got != async.Settled || !s.hasRow(t, "row") {
			t.Errorf("after the commit: the entry is %v and the row is there: %t, want settled and true", got, s.hasRow(t, "row"))
		}
		if _, err := o.hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		var delivered []Decision
		for _, c := range o.temporal.Completed() {
			var d Decision
			if err := converter.GetDefaultDataConverter().FromPayloads(c.Outcome.Result, &d); err != nil {
				t.Fatal(err)
			}
			delivered = append(delivered, d)
		}
		if len(delivered) != 1 || delivered[0] != first {
			t.Errorf("delivered: got %v, want %v", delivered, first)
		}
	})
}

// quiet is a store that knows when its hub waits for a signal: the hub watches
// the store, and its last claim found nothing.
type quiet struct {
	handle
	watching atomic.Bool
	empty    atomic.Bool   // the last claim began while the hub watched, and found nothing
	claimed  chan struct{} // after each claim
}

func newQuiet(s handle) *quiet { return &quiet{handle: s, claimed: make(chan struct{}, 1)} }

func (q *quiet) Watch(ctx context.Context) (<-chan struct{}, error) {
	signals, err := q.handle.Watch(ctx)
	q.watching.Store(err == nil)
	return signals, err
}

func (q *quiet) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	watching := q.watching.Load()
	claimed, err := q.handle.Claim(ctx, now, until, n)
	q.empty.Store(watching && err == nil && len(claimed) == 0)
	select {
	case q.claimed <- struct{}{}:
	default:
	}
	return claimed, err
}

// TestCommitWakesAnotherProcess answers in transactions of one process, and
// another process delivers each answer after the commit. The second process
// polls once an hour, so only the notification of the commit can cause the
// delivery.
func TestCommitWakesAnotherProcess(t *testing.T) {
	t.Parallel()
	answering := newOffice(t, newPlace(t))
	delivering := newQuiet(open(t, answering.place))
	delivered := make(chan struct{}, 10)
	temporal := &asynctest.Completer{CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error {
		delivered <- struct{}{}
		return nil
	}}
	hub, err := async.New(async.Options{Store: delivering, Completer: temporal, PollInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = hub.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	wait := func(c <-chan struct{}, what string) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(5 * time.Minute):
			t.Fatalf("after five minutes: still not %s", what)
		}
	}
	env := newEnvironment()
	// The first answer may be found by the claim that follows Watch.
	for n, begin := range []begin{beginPgx, beginSQL, beginPgx} {
		id := answering.ask(t, env, n)
		tx := begin(t, answering.handle)
		if err := answerWithin(t.Context(), answering.hub.With(tx.store), id); err != nil {
			t.Fatal(err)
		}
		for !delivering.empty.Load() {
			wait(delivering.claimed, "idle")
		}
		if got := answering.state(t, id); got != async.Waiting || len(delivered) != 0 {
			t.Errorf("before the commit: the entry is %v and %d answers were delivered, want waiting and none", got, len(delivered))
		}
		if err := tx.commit(); err != nil {
			t.Fatal(err)
		}
		wait(delivered, "delivered")
	}
}
