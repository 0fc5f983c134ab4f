package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// TestSealedAnswerInATransaction answers in a transaction of the application on a
// sealed store: a rollback undoes the answer, and a commit leaves it to the hub.
func TestSealedAnswerInATransaction(t *testing.T) {
	t.Parallel()
	o := newOffice(t, newPlace(t))
	sealed, err := store.Seal(t.Context(), o.Store, sealWith(newKey, newKey))
	if err != nil {
		t.Fatal(err)
	}
	if o.hub, err = async.New(async.Options{Store: sealed, Completer: o.temporal}); err != nil {
		t.Fatal(err)
	}
	id := o.ask(t, newEnvironment(), 1)
	undone := errors.New("undone")
	for _, outcome := range []error{undone, nil} {
		err := pgx.BeginFunc(t.Context(), o.pool, func(tx pgx.Tx) error {
			if err := answerWithin(t.Context(), o.hub.With(sealed.Over(o.Store.Tx(tx))), id); err != nil {
				return err
			}
			return outcome
		})
		if !errors.Is(err, outcome) {
			t.Fatalf("the transaction: got %v, want %v", err, outcome)
		}
		want := async.Settled
		if outcome != nil {
			want = async.Waiting
		}
		p, err := async.Open[Decision](t.Context(), o.hub, id)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Info().State; got != want {
			t.Errorf("after a transaction that returned %v: the entry is %v, want %v", outcome, got, want)
		}
	}
	if _, err := o.hub.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(o.temporal.Completed()); n != 1 {
		t.Errorf("after Work: %d answers were sent, want 1", n)
	}
}

func answerWithin(ctx context.Context, hub *async.Hub, id string) error {
	p, err := async.Open[Decision](ctx, hub, id)
	if err != nil {
		return err
	}
	return p.Complete(ctx, Decision{Approved: true, By: "Ann"})
}
