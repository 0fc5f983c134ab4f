package async

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"golang.org/x/time/rate"

	"github.com/latchkey-go/latchkey/async/completer"
)

// throttle is a Completer that limits the calls per second, and reports the
// result of each call to health.
type throttle struct {
	completer.Completer
	limit   *rate.Limiter // nil: no limit
	health  *health
	lookout *lookout // nil: none
	slow    bool     // whether a call that takes long counts as failed
}

func newThrottle(c completer.Completer, perSecond float64, health *health, lookout *lookout) *throttle {
	var limit *rate.Limiter
	if perSecond > 0 {
		limit = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
	}
	return &throttle{Completer: c, limit: limit, health: health, lookout: lookout, slow: true}
}

func (t *throttle) Complete(ctx context.Context, target completer.Target, o completer.Outcome) error {
	return t.call(ctx, target, answerCall, func() error { return t.Completer.Complete(ctx, target, o) })
}

func (t *throttle) Heartbeat(ctx context.Context, target completer.Target, details *commonpb.Payloads) (s completer.Signals, err error) {
	err = t.call(ctx, target, heartbeatCall, func() (err error) {
		s, err = t.Completer.Heartbeat(ctx, target, details)
		return err
	})
	return s, err
}

func (t *throttle) Describe(ctx context.Context, target completer.Target, mark string) (s completer.Status, err error) {
	ctx, seen := t.lookout.query(ctx, target)
	err = t.call(ctx, target, questionCall, func() (err error) {
		s, err = t.Completer.Describe(ctx, target, mark)
		return err
	})
	seen.end(Done{Class: callClass(err)})
	return s, err
}

// Find implements completer.Finder if the completer does.
func (t *throttle) Find(ctx context.Context, target completer.Target) (f completer.Found, err error) {
	finder, ok := t.Completer.(completer.Finder)
	if !ok {
		return f, fmt.Errorf("%w: the hub's completer does not implement completer.Finder", errors.ErrUnsupported)
	}
	bad := error(nil) // an error about the token proves nothing about the connection to Temporal
	err = t.call(ctx, target, questionCall, func() (err error) {
		if f, err = finder.Find(ctx, target); errors.Is(err, completer.ErrBadToken) {
			bad, err = err, nil
		}
		return err
	})
	return f, cmp.Or(err, bad)
}

// answerCall, heartbeatCall and questionCall list the breakers that a call
// concerns. Answers also ask questions, so a question that fails counts for
// both breakers.
var (
	answerCall    = []kind{anAnswer}
	heartbeatCall = []kind{aBeat}
	questionCall  = []kind{aBeat, anAnswer}
)

func (t *throttle) call(ctx context.Context, target completer.Target, kinds []kind, f func() error) error {
	if t.limit != nil {
		if err := t.limit.Wait(ctx); err != nil {
			return err
		}
	} else if err := ctx.Err(); err != nil {
		return err
	}
	begun := time.Now()
	if t.slow {
		namespace := target.Namespace // copied so that the target stays off the heap
		timer := time.AfterFunc(t.health.patience(namespace, kinds), func() {
			for _, k := range kinds {
				t.health.slow(way{namespace, k}, begun)
			}
		})
		defer timer.Stop() // the timer is stopped even if f panics
	}
	err := f()
	now := time.Now()
	t.health.exhausted(err, now)
	for _, k := range kinds {
		if k == kinds[0] || !hasAnswered(err) { // an answered question proves nothing about answers
			t.health.note(way{target.Namespace, k}, err, begun, now)
		}
	}
	return err
}
