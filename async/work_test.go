package async_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

// Work tells all that there is to tell, with however few slots.
func TestWorkTellsAllHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		w := newWorld(t, func(o *async.Options) {
			o.Concurrency = 1
			o.Hooks.Delivered = func(context.Context, async.Callback) error {
				told.Add(1)
				time.Sleep(50 * time.Millisecond) // all together longer than a hub that runs would wait
				return nil
			}
		})
		w.startAnswered(0, 110)
		n, err := w.hub.Work(t.Context())
		if wantNil(t, err); n != 110 || told.Load() != 110 {
			t.Errorf("Work did %d entries and told %d hooks, want 110 of both", n, told.Load())
		}
	})
}

// Work beats for all that is due, with however few slots.
func TestWorkBeatsForAll(t *testing.T) {
	for name, pump := range map[string]func(*async.Options){
		"KeepAlive": func(*async.Options) {},
		"a probe that takes 50 ms": probing(0, (&prober{answer: func(int) (any, error) {
			time.Sleep(50 * time.Millisecond)
			return nil, nil
		}}).ask),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, func(o *async.Options) { o.Concurrency = 1 }, pump)
				for n := range 128 {
					w.startOther(n, 30*time.Second, async.StartOptions{})
				}
				pass(11 * time.Second)
				n, err := w.hub.Work(t.Context())
				if wantNil(t, err); n != 128 || len(s.taken()) != 128 {
					t.Errorf("Work did %d entries with %d beats, want 128 of both", n, len(s.taken()))
				}
			})
		})
	}
}
