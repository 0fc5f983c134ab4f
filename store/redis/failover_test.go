package redis_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// startSentinel starts a Sentinel that decides alone, and that promotes a
// replica only when a test asks for it: a busy machine can make a primary
// silent.
func startSentinel(t *testing.T, primary *server) *server {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary.addr)
	own := freePort(t)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor main %s %s 1\n"+
		"sentinel down-after-milliseconds main 600000\nsentinel failover-timeout main 60000\n", own, filepath.Dir(conf), host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{tb: t, addr: net.JoinHostPort("127.0.0.1", own), args: []string{conf, "--sentinel"}}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// TestFailover kills the primary while writers wait for the replica, and makes
// Sentinel promote the replica. Every acknowledged write is present.
func TestFailover(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	sentinel := startSentinel(t, p.primary)
	sentinel.await("aware of the replica", func(c *goredis.Client) (bool, error) {
		info, err := c.Info(t.Context(), "sentinel").Result()
		return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=1"), err
	})
	url := "redis://" + sentinel.addr + "?master_name=main&" + stallInURL
	s, err := store.Open(t.Context(), url+"&replicas=1&ack_timeout=1m")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ops atomic.Int64
	var wg sync.WaitGroup
	var writers []*writer
	for i := range 4 {
		w := newWriter(s, fmt.Sprintf("writer%d", i), &ops)
		writers = append(writers, w)
		wg.Go(func() {
			for n := 1; w.step(ctx, n) == nil; n++ {
			}
		})
	}
	eventually(t, "under load", func() bool { return ops.Load() >= 200 })
	p.primary.kill()
	cancel()
	wg.Wait()

	var after store.Store
	operator := sentinel.client(t)
	eventually(t, "open after the fail-over", func() bool {
		_ = operator.Do(t.Context(), "sentinel", "failover", "main").Err() // an error if the fail-over has begun
		after, err = store.Open(t.Context(), url)                          // writes the meta key
		return err == nil
	})
	defer after.Close()
	for _, w := range writers {
		w.check(t, after)
	}
	wantClaimable(t, after, writers)
	t.Logf("%d acknowledged writes, all there after the fail-over", ops.Load())
}
