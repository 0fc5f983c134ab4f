package redis_test

import (
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// TestLargeBodiesOverShards has far more due entries on every shard than one
// answer may contain.
func TestLargeBodiesOverShards(t *testing.T) {
	t.Parallel()
	const n, size = 12, 2 << 20
	client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
	s := openStore(t, client, redis.Options{Shards: 4})
	for i := range n {
		mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Due: at(i), Body: make([]byte, size)})
	}
	total := 0
	for {
		claimed, err := s.Claim(t.Context(), at(n), at(2*n), n)
		if err != nil {
			t.Fatal(err)
		}
		if len(claimed) == 0 {
			break
		}
		if got := len(claimed) * size; got > store.MaxClaim+store.MaxStored {
			t.Errorf("Claim: got %d bytes of bodies, want about %d", got, store.MaxClaim)
		}
		total += len(claimed)
	}
	if total != n {
		t.Errorf("claimed until nothing was due: got %d entries, want %d", total, n)
	}
}

// TestNoShardStarves puts each entry back as soon as it is claimed, so that
// every shard always has a due entry.
func TestNoShardStarves(t *testing.T) {
	const n, shards = 40, 4
	s := openStore(t, newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()}), redis.Options{Shards: shards})
	for i := range n {
		mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Due: at(i)})
	}
	seen := make(map[string]bool)
	for now := n; len(seen) < n; now++ {
		if now > n+n*shards {
			t.Fatalf("after %d claims of one: got %d of %d entries, want each in its turn", n*shards, len(seen), n)
		}
		claimed, err := s.Claim(t.Context(), at(now), at(now+n), 1)
		if err != nil || len(claimed) != 1 {
			t.Fatalf("Claim of 1: got %d entries and %v, want one", len(claimed), err)
		}
		seen[claimed[0].ID] = true
		claimed[0].Due = at(now)
		mustPut(t, s, claimed[0])
	}
}
