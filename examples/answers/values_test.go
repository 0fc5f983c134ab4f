package answers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
)

func TestWrongTypeNeverArrives(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	_, err := async.Open[Other](w.Context(), w.hub, p.ID())
	wantErr(t, err, async.ErrTypeMismatch)
	_, err = async.Open[string](w.Context(), w.hub, p.ID())
	wantErr(t, err, async.ErrTypeMismatch)
	w.wantPending(run, 1)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestNilPointerNeverArrives(t *testing.T) {
	ids := make(chan string, 1)
	w := newWorld(t, config{register: func(w *world, r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) (*Decision, error) {
			return async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[*Decision]) error {
				ids <- p.ID()
				return nil
			})
		}, activity.RegisterOptions{Name: "pointer"})
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (*Decision, error) {
			var d *Decision
			return d, await(ctx, patient(), "pointer").Get(ctx, &d)
		}, workflow.RegisterOptions{Name: "pointer"})
	}})
	run := w.Start("pointer")
	p, err := async.Open[*Decision](w.Context(), w.hub, <-ids)
	must(t, err)
	wantErr(t, p.Complete(w.Context(), nil), async.ErrInvalidResult)
	w.wantPending(run, 1)
	must(t, p.Complete(w.Context(), &approved))
	w.wantResult(run, approved)
}

func TestNone(t *testing.T) {
	ids := make(chan string, 1)
	w := newWorld(t, config{register: func(w *world, r worker.Registry) {
		r.RegisterActivityWithOptions(func(ctx context.Context) error {
			_, err := async.Start(ctx, w.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[async.None]) error {
				ids <- p.ID()
				return nil
			})
			return err
		}, activity.RegisterOptions{Name: "none"})
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
			return await(ctx, patient(), "none").Get(ctx, nil)
		}, workflow.RegisterOptions{Name: "none"})
	}})
	run := w.Start("none")
	p, err := async.Open[async.None](w.Context(), w.hub, <-ids)
	must(t, err)
	must(t, p.Complete(w.Context(), async.None{}))
	must(t, run.Get(w.Context(), nil))
}

func TestTooLargeIsRefused(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	wantErr(t, p.Complete(w.Context(), Decision{By: strings.Repeat("x", 3<<20)}), async.ErrTooLarge)
	w.wantPending(run, 1)
	// The value has the largest size: the limit is the server's limit.
	large := Decision{By: strings.Repeat("x", 2<<20-100)}
	must(t, p.Complete(w.Context(), large))
	w.wantResult(run, large)
}

func TestLargeRetryableFailureIsRetried(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, quick())
	must(t, w.next().Fail(w.Context(), temporal.NewApplicationErrorWithCause("no", "No", errors.New(strings.Repeat("x", 3<<20)))))
	p := w.next()
	w.wantPending(run, 2)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestLargeRejectionArrives(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, quick())
	must(t, w.next().Reject(w.Context(), temporal.NewApplicationError("no", "No", strings.Repeat("x", 3<<20))))
	if err := asFailed(t, run.Get(w.Context(), nil)); err.Type() != "No" || !err.NonRetryable() {
		t.Errorf("the workflow got %v, want a non-retryable No", err)
	}
}

func TestErrResultPendingIsNoOutcome(t *testing.T) {
	w := newWorld(t, config{})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	wantErr(t, p.Fail(w.Context(), activity.ErrResultPending), async.ErrInvalidFailure)
	w.wantPending(run, 1)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestFailureWithCancellationInsideIsAFailure(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"context":  fmt.Errorf("gave up: %w", context.Canceled),
		"error":    fmt.Errorf("gave up: %w", temporal.NewCanceledError()),
		"bare":     temporal.NewCanceledError(),
		"as cause": temporal.NewApplicationErrorWithCause("gave up", "GaveUp", temporal.NewCanceledError()),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{})
			run := w.Start(awaitDecision, patient())
			must(t, w.next().Reject(w.Context(), err))
			got := run.Get(w.Context(), nil)
			asFailed(t, got)
			if temporal.IsCanceledError(got) {
				t.Errorf("the workflow ended as cancelled: %v", got)
			}
		})
	}
}

func TestOtherKindsOfErrorAreFailures(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"plain":    errors.New("errBroken"),
		"time-out": temporal.NewHeartbeatTimeoutError(),
		"joined":   errors.Join(errors.New("a"), errors.New("b")),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{})
			run := w.Start(awaitDecision, quick())
			must(t, w.next().Fail(w.Context(), err))
			p := w.next() // retried
			must(t, p.Reject(w.Context(), err))
			asFailed(t, run.Get(w.Context(), nil))
		})
	}
}
