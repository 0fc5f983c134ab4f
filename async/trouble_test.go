package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// linesAbove counts the log lines above debug level that contain this text.
func linesAbove(w *world, text string) (n int) {
	for line := range strings.Lines(w.logs.String()) {
		if !strings.Contains(line, "level=DEBUG") && strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// For a store that fails, each hub logs a line at the beginning, at most one
// every ten seconds, and one at the end.
func TestStoreThatFailsIsLoggedSparsely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &watched{Store: store.NewMemory()}
		var hubs []*world
		for range 3 {
			w := newWorld(t, func(o *async.Options) { o.Store = s })
			runHub(t, w.hub)
			hubs = append(hubs, w)
		}
		for i := range 100 {
			hubs[0].startOther(i, 30*time.Second, async.StartOptions{})
		}
		pass(30 * time.Second)
		s.gone.Store(true)
		pass(5 * time.Minute)
		s.gone.Store(false)
		pass(2 * time.Minute)
		for i, w := range hubs {
			if n := linesAbove(w, "the store fails"); n < 3 || n > 2+5*6 {
				t.Errorf("hub %d logs %d lines about a store that fails for 5 min, want one at most every 10 s", i, n)
			}
			if n := linesAbove(w, "the store fails, and the hub retries: over"); n != 1 {
				t.Errorf("hub %d logs %d times that it is over, want once", i, n)
			}
		}
	})
}

// A server that refuses twenty thousand answers does not cause twenty thousand
// log lines.
func TestRefusedAnswersAreLoggedSparsely(t *testing.T) {
	for name, refusal := range map[string]error{"each call": completer.ErrCallRefused, "the hub": completer.ErrRefused} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const answers = 20_000
				w := newWorld(t, func(o *async.Options) { o.DeliveryWait = -1 })
				settler, err := async.New(async.Options{Store: w.store})
				wantNil(t, err)
				for i := range answers {
					info := attemptNow(1, 0)
					info.ActivityID = fmt.Sprint(i)
					_ = async.StartAttempt(t.Context(), settler, info, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
						return p.Complete(ctx, Decision{})
					})
				}
				w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return refusal }
				runHub(t, w.hub)
				pass(time.Minute)
				if n := linesAbove(w, "level="); n < 1 || n > 10 {
					t.Errorf("%d lines in a minute, want one when it begins and one every 10 s", n)
				}
				if refusal == completer.ErrCallRefused && !strings.Contains(w.logs.String(), "times=") {
					t.Error("no line says how many answers it stands for")
				}
			})
		})
	}
}

// TestAttemptThatIsNotThereIsNoTrouble: an answer that arrives between two
// attempts waits for the next one. Temporal works, and the operator has nothing
// to do.
func TestAttemptThatIsNotThereIsNoTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		answer func(context.Context, async.Pending[Decision]) error
	}{
		"a result":  {completer.ErrNotStarted, func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) }},
		"a failure": {completer.ErrOver, func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("no")) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.start(1, async.StartOptions{})
			w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return c.err }
			w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
				return completer.Status{Pending: true}, nil
			}
			wantNil(t, c.answer(t.Context(), w.open(id)))
			if n := linesAbove(w, "level="); n > 0 {
				t.Errorf("%d lines above debug level, want none:\n%s", n, w.logs)
			}
			if !strings.Contains(w.logs.String(), "cannot take its answer yet") {
				t.Errorf("no line at debug level says what the answer waits for:\n%s", w.logs)
			}
		})
	}
}
