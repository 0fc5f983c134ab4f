package async

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadline(t *testing.T) {
	cause := errors.New("why")
	for name, c := range map[string]struct {
		ends func(ctx *deadline, parent context.CancelCauseFunc)
		want error // nil if the context has not ended
		why  error
	}{
		"before its time":       {func(*deadline, context.CancelCauseFunc) { time.Sleep(time.Second - 1) }, nil, nil},
		"at its time":           {func(*deadline, context.CancelCauseFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded, context.DeadlineExceeded},
		"when it is ended":      {func(ctx *deadline, _ context.CancelCauseFunc) { ctx.end() }, context.Canceled, context.Canceled},
		"with its parent":       {func(_ *deadline, parent context.CancelCauseFunc) { parent(cause) }, context.Canceled, cause},
		"ended and out of time": {func(ctx *deadline, _ context.CancelCauseFunc) { ctx.end(); time.Sleep(time.Hour) }, context.Canceled, context.Canceled},
	} {
		for when, waits := range map[string]func(ctx context.Context) (ended func() error){
			"asked afterwards": func(ctx context.Context) func() error { return ctx.Err },
			"waited for": func(ctx context.Context) func() error {
				done := ctx.Done()
				return func() error {
					select {
					case <-done:
						return ctx.Err()
					default:
						return nil
					}
				}
			},
			"with a child": func(ctx context.Context) func() error {
				child, cancel := context.WithCancel(ctx)
				context.AfterFunc(ctx, cancel)
				return child.Err
			},
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), deadlineKey{}, "value"))
					defer cancel(nil)
					ctx := withTimeout(parent, time.Second)
					defer ctx.end()
					ended := waits(ctx)
					c.ends(ctx, cancel)
					synctest.Wait()
					if err := ended(); err != c.want {
						t.Errorf("Err is %v, want %v", err, c.want)
					}
					if err := context.Cause(ctx); err != c.why {
						t.Errorf("the cause is %v, want %v", err, c.why)
					}
					if v := ctx.Value(deadlineKey{}); v != "value" {
						t.Errorf("the value is %v, want the parent's", v)
					}
				})
			})
		}
	}
}

type deadlineKey struct{}

// The context ends no later than its parent.
func TestDeadlineOfParent(t *testing.T) {
	soon := time.Now().Add(time.Minute)
	parent, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	ctx := withTimeout(parent, time.Hour)
	defer ctx.end()
	if at, ok := ctx.Deadline(); !ok || !at.Equal(soon) {
		t.Errorf("it ends at %v, want %v", at, soon)
	}
}

// A context that is derived from a deadline needs no goroutine that waits for
// its end.
func TestDeadlineHasNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx := withTimeout(t.Context(), time.Hour)
	defer ctx.end()
	for range 100 {
		_, cancel := context.WithCancel(ctx)
		defer cancel()
	}
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines for 100 contexts", n)
	}
}
