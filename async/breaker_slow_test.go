package async_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// A server that takes more than a second for each call is slow, not
// unreachable. The hub logs at most once that it cannot reach the server, and
// then allows longer calls.
func TestSlowServerIsNotAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, each = 4, 20
		w := newWorld(t)
		runHub(t, w.hub)
		w.completer.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
			time.Sleep(1500 * time.Millisecond)
			return nil
		}
		for i := range callers * each {
			w.startOther(i, 0, async.StartOptions{})
		}
		waiting := asynctest.Pending(t, w.hub)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for _, callback := range waiting[i*each : (i+1)*each] {
					p, err := async.Open[Decision](t.Context(), w.hub, callback.ID())
					wantNil(t, err)
					wantNil(t, p.Complete(t.Context(), Decision{}))
				}
			})
		}
		wg.Wait()
		pass(time.Minute)
		w.wantSent(callers * each)
		if n := strings.Count(w.logs.String(), "cannot reach Temporal"); n > 1 {
			t.Errorf("the hub says %d times that it cannot reach Temporal, want once at most", n)
		}
	})
}
