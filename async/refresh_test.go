package async_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// TestRefresh: after Refresh, Info has the signals that Temporal knows.
func TestRefresh(t *testing.T) {
	in(t, func(t *testing.T) {
		status, asked := completer.Status{Pending: true, Running: true, CancelRequested: true}, 0
		var away error
		requested := 0
		w := newWorld(t, func(o *async.Options) {
			o.Hooks.CancelRequested = func(context.Context, async.Callback) error { requested++; return nil }
		})
		w.completer.DescribeFunc = func(ctx context.Context, _ completer.Target, _ string) (completer.Status, error) {
			asked++
			if away == errHangs {
				<-ctx.Done()
				return completer.Status{}, ctx.Err()
			}
			return status, away
		}
		id := w.start(1, async.StartOptions{})
		p := w.open(id)

		away = errHangs
		began := time.Now()
		c, err := p.Refresh(t.Context())
		if wantNil(t, err); c.Info().State != async.Waiting || time.Since(began) != 500*time.Millisecond {
			t.Errorf("while Temporal hangs: %v after %v, want what the store has after half a second", c.Info().State, time.Since(began))
		}
		away = nil
		c, err = p.Refresh(t.Context())
		if wantNil(t, err); !c.Info().CancelRequested || c.ID() != id {
			t.Error("the request for cancellation isn't known")
		}
		version := func() uint64 { e, _ := w.stored(); return e.Version }
		before := version()
		_, err = p.Refresh(t.Context())
		if wantNil(t, err); version() != before {
			t.Error("a Refresh that learns nothing writes")
		}
		for range 3 { // other due work is done in the same calls
			_, err = w.hub.Work(t.Context())
			wantNil(t, err)
			time.Sleep(time.Minute)
		}
		if requested != 1 {
			t.Errorf("the hook was called %d times, want once", requested)
		}
		status = completer.Status{End: completer.EndTimedOut}
		c, err = p.Refresh(t.Context())
		if wantNil(t, err); c.Info().State != async.Closed || !errors.Is(c.Info().End, async.ErrExpired) {
			t.Errorf("an activity that is over is %v, %v", c.Info().State, c.Info().End)
		}
		asked = 0
		_, err = p.Refresh(t.Context())
		if wantNil(t, err); asked != 0 {
			t.Error("Temporal is asked about what is closed")
		}
		var zero async.Callback
		_, err = zero.Refresh(t.Context())
		wantErr(t, err, async.ErrNotFound)
	})
}

var errHangs = errors.New("hangs")
