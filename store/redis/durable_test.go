package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// TestKilledUnderLoad kills a server that syncs each write while eight writers
// write, and starts it again. TestKilledUnderLoad then checks that every
// acknowledged write is present.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	rounds := 3
	if soak() {
		rounds = 100
	}
	server := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	var ops atomic.Int64
	for round := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		s := openStore(t, server.client(t), redis.Options{})
		var wg sync.WaitGroup
		var writers []*writer
		for i := range 8 {
			w := newWriter(s, fmt.Sprintf("round%d-writer%d", round, i), &ops)
			writers = append(writers, w)
			wg.Go(func() {
				for n := 1; ; n++ {
					if err := w.step(ctx, n); err != nil {
						if _, ok := errors.AsType[*store.Error](err); !ok {
							t.Error(err) // this is an error of step, and not of Redis
						}
						return
					}
				}
			})
		}
		enough := ops.Load() + 300
		eventually(t, "under load", func() bool { return ops.Load() >= enough || t.Failed() })
		server.kill()
		// go-redis would otherwise retry until its limit.
		cancel()
		wg.Wait()
		server.start()
		after := openStore(t, server.client(t), redis.Options{})
		for _, w := range writers {
			w.check(t, after)
		}
		wantClaimable(t, after, writers)
	}
	t.Logf("%d acknowledged writes, %d times killed", ops.Load(), rounds)
}
