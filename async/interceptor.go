package async

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// Interceptor returns an interceptor that keeps [activity.ErrResultPending]
// unwrapped. The SDK compares an activity's error with ==. An interceptor that
// wraps every error of an activity therefore turns a waiting activity into a
// failed one, and each attempt asks again.
//
// Put the interceptor first in worker.Options.Interceptors: the first
// interceptor wraps all others. Interceptors of the client wrap those of the
// worker. If an interceptor of the client wraps errors, put async.Interceptor
// first in client.Options.Interceptors instead. The interceptor changes only
// an error that wraps activity.ErrResultPending, and after [Start] has returned
// that error, an error with its text.
func Interceptor() interceptor.Interceptor { return new(bareInterceptor) }

type bareInterceptor struct{ interceptor.InterceptorBase }

// InterceptActivity wraps the calls of an activity.
func (*bareInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &bareActivity{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type bareActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity runs the activity, and unwraps its error.
func (b *bareActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	var pending atomic.Bool
	result, err := b.Next.ExecuteActivity(context.WithValue(ctx, pendingKey{}, &pending), in)
	switch {
	case err == nil, err == activity.ErrResultPending:
		return result, err
	case errors.Is(err, activity.ErrResultPending), pending.Load() && saysPending(err.Error()):
		return nil, activity.ErrResultPending
	default:
		return result, err
	}
}

// pendingKey is the context key of the value in which Start records that it has
// returned activity.ErrResultPending.
type pendingKey struct{}

// notePending records for the interceptor that Start has handed the activity
// over. Without this record, the interceptor keeps an error that only contains
// the text of activity.ErrResultPending. Such a text could be the message of
// another activity's failure.
func notePending(ctx context.Context) {
	if pending, ok := ctx.Value(pendingKey{}).(*atomic.Bool); ok {
		pending.Store(true)
	}
}

// saysPending reports whether a message contains the text of
// activity.ErrResultPending.
func saysPending(message string) bool {
	return strings.Contains(message, activity.ErrResultPending.Error())
}
