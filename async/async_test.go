package async_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

func TestAnswerReachesTemporalByToken(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{Labels: map[string]string{"team": "travel"}})
	if len(id) != 54 {
		t.Errorf("the callback ID %q has %d characters, want 54", id, len(id))
	}
	p := w.open(id)
	wantNil(t, p.Complete(t.Context(), Decision{Approved: true, Reason: "fine"}))

	call := w.wantSent(1)[0]
	if got := string(call.Target.TaskToken); got != "token-1" {
		t.Errorf("sent to token %q, want token-1", got)
	}
	var got Decision
	if err := converter.GetDefaultDataConverter().FromPayloads(call.Outcome.Result, &got); err != nil {
		t.Fatalf("the result can't be decoded: %v", err)
	}
	if want := (Decision{Approved: true, Reason: "fine"}); got != want {
		t.Errorf("sent %+v, want %+v", got, want)
	}
	if !strings.HasPrefix(call.Outcome.Mark, "r") {
		t.Errorf("the mark is %q, want one of a result", call.Outcome.Mark)
	}
	info := w.open(id).Info()
	if info.State != async.Closed || !info.Delivered || info.Outcome != "result" || info.Deliveries != 1 || info.Ended.IsZero() || info.Labels["team"] != "travel" {
		t.Errorf("afterwards the callback tells %+v", info)
	}
}

func TestStartInRealActivity(t *testing.T) {
	w := newWorld(t)
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	var id string
	approve := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
	}
	env.RegisterActivity(approve)
	if _, err := env.ExecuteActivity(approve); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	w.wantSent(1)
}

func TestStartRefusesMisuse(t *testing.T) {
	w := newWorld(t)
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	ask := func(context.Context, async.Pending[Decision]) error { return nil }
	for name, f := range map[string]func(ctx context.Context) error{
		"nil hub": func(ctx context.Context) error {
			_, err := async.Start(ctx, nil, async.StartOptions{}, ask)
			return err
		},
		"nil function": func(ctx context.Context) error {
			_, err := async.Start[Decision](ctx, w.hub, async.StartOptions{}, nil)
			return err
		},
		"interface":      func(ctx context.Context) error { return startAs[any](ctx, w.hub) },
		"error":          func(ctx context.Context) error { return startAs[error](ctx, w.hub) },
		"unnamed struct": func(ctx context.Context) error { return startAs[struct{ A int }](ctx, w.hub) },
		"slice of those": func(ctx context.Context) error { return startAs[[]struct{ A int }](ctx, w.hub) },
		"function":       func(ctx context.Context) error { return startAs[func()](ctx, w.hub) },
		"channel":        func(ctx context.Context) error { return startAs[chan int](ctx, w.hub) },
		"labels": func(ctx context.Context) error {
			_, err := async.Start(ctx, w.hub, async.StartOptions{Labels: map[string]string{"a": strings.Repeat("x", 5000)}}, ask)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := suite.NewTestActivityEnvironment()
			env.RegisterActivity(f)
			_, err := env.ExecuteActivity(f)
			app, ok := errors.AsType[*temporal.ApplicationError](err)
			if !ok || !app.NonRetryable() || app.Type() != "latchkey.Misuse" {
				t.Errorf("got %v, want a non-retryable application error of type latchkey.Misuse", err)
			}
		})
	}
	t.Run("local activity", func(t *testing.T) {
		env := suite.NewTestActivityEnvironment()
		_, err := env.ExecuteLocalActivity(func(ctx context.Context) error {
			_, err := async.Start(ctx, w.hub, async.StartOptions{}, ask)
			return err
		})
		if app, ok := errors.AsType[*temporal.ApplicationError](err); !ok || !app.NonRetryable() {
			t.Errorf("got %v, want a non-retryable application error", err)
		}
	})
	t.Run("outside an activity", func(t *testing.T) {
		if _, err := async.Start(t.Context(), w.hub, async.StartOptions{}, ask); err == nil || !strings.Contains(err.Error(), "not an activity's") {
			t.Errorf("got %v, want an error that says so", err)
		}
	})
	for range w.store.List(t.Context()) {
		t.Error("something was stored")
	}
}

func startAs[T any](ctx context.Context, h *async.Hub) error {
	_, err := async.Start(ctx, h, async.StartOptions{}, func(context.Context, async.Pending[T]) error { return nil })
	return err
}

func TestOpenRefuses(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	other := "A"
	if strings.HasSuffix(id, "A") {
		other = "Q"
	}
	wrongSecret := id[:len(id)-1] + other
	for name, bad := range map[string]string{
		"empty":        "",
		"short":        id[:20],
		"long":         id + "A",
		"bad alphabet": id[:53] + "/",
		"not unicode":  id[:53] + "\xff",
		"unknown":      strings.Repeat("0", 10) + id[10:],
		"wrong secret": wrongSecret,
		"no secret":    id[:32] + strings.Repeat("A", 22),
		"sloppy bits":  id[:53] + string(id[53]+1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.hub.Open(t.Context(), bad)
			wantErr(t, err, async.ErrNotFound)
			_, err = async.Open[Decision](t.Context(), w.hub, bad)
			wantErr(t, err, async.ErrNotFound)
			if len(bad) > 20 && strings.Contains(err.Error(), bad[:32]) {
				t.Errorf("the error repeats the callback ID: %v", err)
			}
		})
	}
	_, unknown := w.hub.Open(t.Context(), strings.Repeat("0", 10)+id[10:])
	_, wrong := w.hub.Open(t.Context(), wrongSecret)
	if a, b := errors.Unwrap(unknown).Error(), errors.Unwrap(wrong).Error(); a != b {
		t.Errorf("an unknown ID is told from a wrong secret: %q, %q", a, b)
	}
	_, err := async.Open[int](t.Context(), w.hub, id)
	mismatch, ok := errors.AsType[*async.TypeMismatchError](err)
	if !ok || mismatch.Want != "github.com/latchkey-go/latchkey/async_test.Decision" || mismatch.Got != "int" {
		t.Errorf("opened as another type: %v, want a TypeMismatchError with both", err)
	}
	wantErr(t, err, async.ErrTypeMismatch)
	_, err = async.Open[any](t.Context(), w.hub, id)
	wantErr(t, err, async.ErrTypeMismatch)
	_, err = async.Open[Decision](t.Context(), nil, id)
	wantErr(t, err, async.ErrNotFound)
}

func TestZeroPending(t *testing.T) {
	var p async.Pending[Decision]
	for name, err := range map[string]error{
		"complete": p.Complete(t.Context(), Decision{}),
		"fail":     p.Fail(t.Context(), errors.New("x")),
		"reject":   p.Reject(t.Context(), errors.New("x")),
		"cancel":   p.ReportCanceled(t.Context()),
		"remember": p.Remember(t.Context(), "x"),
	} {
		if !errors.Is(err, async.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if p.ID() != "" || p.Reference() != "" || p.Info().State != 0 || p.String() == "" {
		t.Errorf("the zero Pending tells %q %q %+v", p.ID(), p.Reference(), p.Info())
	}
}

func TestStoreClosed(t *testing.T) {
	w := newWorld(t)
	p := w.open(w.start(1, async.StartOptions{}))
	wantNil(t, w.store.Close())
	wantErr(t, p.Complete(t.Context(), Decision{}), store.ErrClosed)
	_, err := w.hub.Open(t.Context(), p.ID())
	wantErr(t, err, store.ErrClosed)
	err = async.StartAttempt(t.Context(), w.hub, attempt(2), async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
		t.Error("the outside was asked, although nothing could be kept")
		return nil
	})
	wantErr(t, err, store.ErrClosed)
	for _, err := range w.hub.List(t.Context()) {
		wantErr(t, err, store.ErrClosed)
	}
}

func TestManyCallersOneOutcome(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	other, err := async.New(async.Options{Store: w.store, Completer: w.completer, DeliveryWait: time.Minute})
	wantNil(t, err)
	hubs := []*async.Hub{w.hub, other}
	var accepted [2]atomic.Int32
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			p, err := async.Open[Decision](t.Context(), hubs[i/2%2], id)
			if err == nil {
				err = p.Complete(t.Context(), Decision{Approved: i%2 == 0})
			}
			switch {
			case err == nil:
				accepted[i%2].Add(1)
			case !errors.Is(err, async.ErrSettled):
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	yes, no := accepted[0].Load(), accepted[1].Load()
	if yes+no != 500 || yes*no != 0 {
		t.Errorf("%d callers with yes and %d with no were told that their answer was accepted, want all 500 of one kind", yes, no)
	}
	w.wantSent(1)
}

func TestHubWithoutCompleterSettlesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *async.Options) { o.Completer = nil })
		p := w.open(w.start(1, async.StartOptions{}))
		wantErr(t, p.ReportCanceled(t.Context()), completer.ErrCancelNotRequested)
		w.wantState(async.Waiting)
		wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
		w.wantState(async.Settled)
		if e, _ := w.stored(); e.Due.After(time.Now()) {
			t.Errorf("it is due at %v, later than now: a hub that delivers would wait", e.Due)
		}
	})
}

func TestListTellsAll(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	if _, err := w.store.Put(t.Context(), store.Entry{ID: "stranger", Body: []byte("?")}); err != nil {
		t.Fatal(err)
	}
	found, bad := 0, 0
	for c, err := range w.hub.List(t.Context()) {
		switch {
		case err != nil:
			bad++
			if !strings.Contains(err.Error(), "list") {
				t.Errorf("the error doesn't name the operation: %v", err)
			}
		case c.ID() == id:
			found++
		}
	}
	if found != 1 || bad != 1 {
		t.Errorf("listed %d callbacks and %d errors, want 1 of each", found, bad)
	}
	for range w.hub.List(t.Context()) {
		break
	}
}

func TestNoneHasNoPayload(t *testing.T) {
	w := newWorld(t)
	var id string
	err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(_ context.Context, p async.Pending[async.None]) error {
		id = p.ID()
		return nil
	})
	if err != activity.ErrResultPending {
		t.Fatal(err)
	}
	p, err := async.Open[async.None](t.Context(), w.hub, id)
	wantNil(t, err)
	wantNil(t, p.Complete(t.Context(), async.None{}))
	if o := w.wantSent(1)[0].Outcome; o.Result == nil || len(o.Result.Payloads) != 0 {
		t.Errorf("sent %v, want a result without payloads", o.Result)
	}
	wantNil(t, p.Complete(t.Context(), async.None{}))
}
