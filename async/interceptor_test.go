package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
)

// wrapping is an interceptor that changes the error of each activity.
type wrapping struct {
	interceptor.WorkerInterceptorBase
	wrap func(error) error
}

func (w *wrapping) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &wrappingActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, w.wrap}
}

type wrappingActivity struct {
	interceptor.ActivityInboundInterceptorBase
	wrap func(error) error
}

func (w *wrappingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	v, err := w.Next.ExecuteActivity(ctx, in)
	if err == nil {
		return v, nil
	}
	return v, w.wrap(err)
}

// execute runs an activity behind these interceptors.
func execute(f func(ctx context.Context) (Decision, error), is ...interceptor.WorkerInterceptor) error {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: is})
	env.RegisterActivity(f)
	_, err := env.ExecuteActivity(f)
	return err
}

func TestInterceptorUnwrapsTheSentinel(t *testing.T) {
	w := newWorld(t)
	start := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, w.hub, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
	}
	for name, wrap := range map[string]func(error) error{
		"not at all":                 func(err error) error { return err },
		"%w":                         func(err error) error { return fmt.Errorf("activity Approve: %w", err) },
		"%v":                         func(err error) error { return fmt.Errorf("activity Approve: %v", err) },
		"joined":                     func(err error) error { return errors.Join(errors.New("traced"), err) },
		"as an application error":    func(err error) error { return temporal.NewApplicationErrorWithCause("failed", "Wrapped", err) },
		"as a non-retryable failure": func(err error) error { return temporal.NewNonRetryableApplicationError("failed", "Wrapped", err) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := execute(start, async.Interceptor(), &wrapping{wrap: wrap}); err != activity.ErrResultPending {
				t.Errorf("the activity returned %v, want the bare activity.ErrResultPending", err)
			}
		})
	}
}

// An error of the activity's own function stays unchanged, even if it quotes
// the failure of another activity.
func TestInterceptorKeepsOtherErrors(t *testing.T) {
	for name, want := range map[string]string{
		"an error":               "no such order",
		"the sentinel's message": "the other activity failed: " + activity.ErrResultPending.Error(),
	} {
		t.Run(name, func(t *testing.T) {
			err := execute(func(context.Context) (Decision, error) { return Decision{}, errors.New(want) }, async.Interceptor())
			if app, ok := errors.AsType[*temporal.ApplicationError](err); !ok || app.Message() != want {
				t.Errorf("the activity returned %v, want %q", err, want)
			}
		})
	}
	if err := execute(func(context.Context) (Decision, error) { return Decision{Approved: true}, nil }, async.Interceptor()); err != nil {
		t.Errorf("an activity that completes returned %v", err)
	}
}

// If the function that Start calls fails, the interceptor keeps the function's
// error.
func TestInterceptorKeepsTheFunctionsError(t *testing.T) {
	w := newWorld(t)
	err := execute(func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, w.hub, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error {
			return errors.New("the mail server refused it")
		})
	}, async.Interceptor())
	if app, ok := errors.AsType[*temporal.ApplicationError](err); !ok || app.Message() != "the mail server refused it" {
		t.Errorf("the activity returned %v, want the function's error", err)
	}
}
