package answers

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/sdk/interceptor"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// wrapping is an interceptor that wraps the error of each activity.
type wrapping struct {
	interceptor.WorkerInterceptorBase
}

func (*wrapping) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &wrappingActivity{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type wrappingActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

func (w *wrappingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	v, err := w.Next.ExecuteActivity(ctx, in)
	if err != nil {
		err = fmt.Errorf("activity %s: %w", rig.Activity, err)
	}
	return v, err
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

const wrappedLog = "wraps the error that Start returns"

// An interceptor that wraps errors fails a waiting activity. Start of the next
// attempt logs an error that names the interceptor as the cause.
func TestWrappedSentinelIsNoticed(t *testing.T) {
	logs := new(syncBuffer)
	w := newWorld(t, config{
		interceptors: []interceptor.WorkerInterceptor{&wrapping{}},
		hub:          func(o *async.Options) { o.Logger = slog.New(slog.NewTextHandler(logs, nil)) },
	})
	run := w.Start(awaitDecision, quick())
	w.next()
	w.next() // the second attempt asks again
	rig.Eventually(t, "the log to name the cause", func() bool { return strings.Contains(logs.String(), wrappedLog) })
	p := w.next()
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

// If Latchkey's interceptor is the first one, the activity waits.
func TestInterceptorKeepsTheActivityWaiting(t *testing.T) {
	logs := new(syncBuffer)
	w := newWorld(t, config{
		interceptors: []interceptor.WorkerInterceptor{async.Interceptor(), &wrapping{}},
		hub:          func(o *async.Options) { o.Logger = slog.New(slog.NewTextHandler(logs, nil)) },
	})
	run := w.Start(awaitDecision, quick())
	p := w.next()
	w.wantPending(run, 1)
	must(t, p.Complete(w.Context(), approved))
	w.wantResult(run, approved)
	w.none()
	if strings.Contains(logs.String(), wrappedLog) {
		t.Errorf("the log tells of a wrapped sentinel: %s", logs)
	}
}
