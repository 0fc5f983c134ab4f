package redis_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// TestWatchConnectsAgain: a watch survives the loss of its connection. The
// watch then sends a signal, because signals may have been lost.
func TestWatchConnectsAgain(t *testing.T) {
	server := startServer(t)
	s := openStore(t, server.client(t), redis.Options{})
	signals, err := s.Watch(t.Context())
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	other := server.client(t)
	if err := other.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-signals; !open { // go-redis pings every 3 s
		t.Fatal("the channel was closed when its connection was lost, want a signal")
	}
	eventually(t, "a subscriber again", func() bool {
		n, err := other.PubSubNumSub(t.Context(), "latchkey:wake").Result()
		return err == nil && n["latchkey:wake"] == 1
	})
	if _, err := s.Put(t.Context(), store.Entry{ID: "entry", Due: time.Now()}); err != nil {
		t.Fatalf("Put: %v", err)
	}
	if _, open := <-signals; !open {
		t.Error("the channel was closed, want a signal of a Put")
	}
}
