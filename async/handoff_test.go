package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
)

func TestFunctionFailsOrPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boom := errors.New("mailer is down")
		err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return boom })
		if err != boom {
			t.Errorf("Start returned %v, want the function's own error", err)
		}
		func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("recovered %v, want the function's own panic", p)
				}
			}()
			async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { panic("boom") })
		}()
		w.wantState(async.Waiting)
		e, r := w.stored()
		if r.HandedOffStarted != 0 {
			t.Error("the outside is taken to have been asked")
		}
		if until := time.Until(e.Due); until != 5*time.Second {
			t.Errorf("it is due in %v, want 5s, to ask whether the activity is over", until)
		}
		if id := w.start(3, async.StartOptions{}); id == "" {
			t.Error("the next attempt didn't ask")
		}
	})
}

func TestAnsweredWhileTheFunctionRuns(t *testing.T) {
	for name, result := range map[string]error{"nil": nil, "error": errors.New("too late")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
				wantNil(t, w.open(p.ID()).Complete(ctx, Decision{Approved: true}))
				return result
			})
			if err != activity.ErrResultPending {
				t.Errorf("Start returned %v, want the bare activity.ErrResultPending: an answer was accepted", err)
			}
			w.wantSent(1)
		})
	}
	t.Run("by a hub that settles only", func(t *testing.T) {
		w := newWorld(t)
		settler, err := async.New(async.Options{Store: w.store})
		wantNil(t, err)
		err = async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			q, err := async.Open[Decision](ctx, settler, p.ID())
			wantNil(t, err)
			wantNil(t, q.Complete(ctx, Decision{}))
			return errors.New("too late")
		})
		if err != activity.ErrResultPending {
			t.Errorf("Start returned %v", err)
		}
		w.wantSent(1)
	})
}

func TestSlowFunctionOfAnEarlierAttemptWritesNothing(t *testing.T) {
	w := newWorld(t)
	running, finish, second := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
		// The function of the second attempt is still running when the first
		// one returns.
		go func() {
			second <- async.StartAttempt(ctx, w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
				close(running)
				<-finish
				return nil
			})
		}()
		<-running
		return nil
	})
	if err != activity.ErrResultPending {
		t.Errorf("the first Start returned %v", err)
	}
	if r := w.record(); r.HandedOffStarted != 0 || r.Started != attempt(2).StartedTime.UnixNano() {
		t.Errorf("asked is %d, started %d: the first attempt wrote for the second", r.HandedOffStarted, r.Started)
	}
	close(finish)
	if err := <-second; err != activity.ErrResultPending {
		t.Errorf("the second Start returned %v", err)
	}
	if r := w.record(); r.HandedOffStarted != r.Started || r.Started != attempt(2).StartedTime.UnixNano() {
		t.Errorf("asked is %d, started %d: the second attempt has asked", r.HandedOffStarted, r.Started)
	}
}

func TestErrorOfTheFunctionWhereNobodyAnswered(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("mailer is down")
	err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
		wantNil(t, p.Abandon(ctx))
		return broken
	})
	if err != broken {
		t.Errorf("Start returned %v, want the function's own error: the attempt would wait for ever", err)
	}
}
