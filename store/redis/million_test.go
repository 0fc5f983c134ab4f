package redis_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/internal/million"
	"github.com/latchkey-go/latchkey/store/redis"
)

// TestManyEntries runs a hub and a board on a Redis with many entries; with
// LATCHKEY_SOAK=1, there are a million.
func TestManyEntries(t *testing.T) {
	server := startServer(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.addr})
	defer client.Close()
	s, err := redis.Open(t.Context(), client, redis.Options{Prefix: "million:", Pages: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	million.Test(t, s)
}
