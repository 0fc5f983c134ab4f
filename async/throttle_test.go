package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// If any call learns that the server has no resources, Run pauses its claims
// for a second. The call may belong to another part of the hub.
func TestAnyCallHasRunRest(t *testing.T) {
	exhausted := serviceerror.NewResourceExhausted(0, "too much")
	for name, c := range map[string]struct {
		call  func(ctx context.Context, w *world, p async.Pending[Decision]) error
		rests bool
	}{
		"Complete": {func(ctx context.Context, w *world, p async.Pending[Decision]) error {
			w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return exhausted }
			return p.Complete(ctx, Decision{})
		}, true},
		"Describe": {func(ctx context.Context, w *world, p async.Pending[Decision]) error {
			w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
				return completer.Status{}, exhausted
			}
			_ = p.ReportCanceled(ctx)
			return nil
		}, true},
		"another error": {func(ctx context.Context, w *world, p async.Pending[Decision]) error {
			w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return errors.New("away") }
			return p.Complete(ctx, Decision{})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				claims := new(counting)
				w := newWorld(t, func(o *async.Options) {
					claims.Store = o.Store
					o.Store, o.PollInterval = claims, 100*time.Millisecond
				})
				p := w.open(w.startNow(1, 0, async.StartOptions{}, nil))
				runHub(t, w.hub)
				pass(10 * time.Second)
				wantNil(t, c.call(t.Context(), w, p))
				pass(200 * time.Millisecond) // code that waited for a poll knows now that the hub pauses
				before := claims.claims.Load()
				pass(700 * time.Millisecond)
				if n := claims.claims.Load() - before; (n == 0) != c.rests {
					t.Errorf("%d claims while the server may be out of resources, want none: %t", n, c.rests)
				}
				pass(time.Second)
				if claims.claims.Load() == before {
					t.Error("no claims after a second")
				}
			})
		})
	}
}

// The rate limits calls of each kind. A call that cannot be made in time
// returns an error that names the rate.
func TestRateBoundsAllCalls(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, p async.Pending[Decision]) error{
		"Complete": func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) },
		"Describe": func(ctx context.Context, p async.Pending[Decision]) error { return p.ReportCanceled(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *async.Options) { o.Rate = 0.5 })
				calls := 0
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { calls++; return nil }
				w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
					calls++
					return completer.Status{Pending: true}, nil
				}
				began := time.Now()
				for n := range 4 {
					info := attempt(1)
					info.ActivityID = string(rune('a' + n))
					_ = async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
						_ = call(ctx, p)
						return nil
					})
				}
				if took := time.Since(began); calls != 4 || took != 6*time.Second {
					t.Errorf("%d calls took %v at one in two seconds, want 4 in 6 s", calls, took)
				}
			})
		})
	}
}
