package async_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

func TestReady(t *testing.T) {
	s := &faulty{Store: store.NewMemory()}
	w := newWorld(t, func(o *async.Options) { o.Store = s })
	wantNil(t, w.hub.Ready(t.Context()))
	for range s.List(t.Context()) {
		t.Error("Ready has written an entry")
	}
	s.put = func(context.Context, store.Entry) (uint64, error) { return 0, errGone }
	wantErr(t, w.hub.Ready(t.Context()), errGone)
	s.put = func(context.Context, store.Entry) (uint64, error) { return 7, nil }
	if w.hub.Ready(t.Context()) == nil {
		t.Error("a store that replaces what isn't there is ready")
	}
	wantNil(t, s.Store.Close())
	s.put = nil
	wantErr(t, w.hub.Ready(t.Context()), store.ErrClosed)
}

func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &watched{Store: store.NewMemory()}
		w := newWorld(t, func(o *async.Options) { o.Store = s })
		says := func(want ...string) {
			t.Helper()
			err := w.hub.Healthy(t.Context())
			if (err == nil) != (len(want) == 0) {
				t.Errorf("the hub's health is %v, want %v", err, want)
			}
			for _, part := range want {
				if err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("the hub's health is %v, want it to say %q", err, part)
				}
			}
		}
		says("Run is not running")
		wantNil(t, w.hub.Ready(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { _ = w.hub.Run(ctx); close(ended) }()
		time.Sleep(time.Hour)
		says()
		s.gone.Store(true)
		time.Sleep(11 * time.Second)
		says("claimed nothing", "this process is gone")
		s.gone.Store(false)
		time.Sleep(time.Minute)
		says()

		var away atomic.Bool
		away.Store(true)
		w.completer.CompleteFunc = func(ctx context.Context, at completer.Target, o completer.Outcome) error {
			if away.Load() {
				return unavailable(ctx, at, o)
			}
			return nil
		}
		id := w.start(1, async.StartOptions{})
		wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
		time.Sleep(10 * time.Second)
		says("unreachable", `answers of namespace "default"`)
		wantNil(t, w.hub.Ready(t.Context()))
		away.Store(false)
		time.Sleep(time.Minute)
		says()
		cancel()
		<-ended
		says("Run is not running")
	})
}
