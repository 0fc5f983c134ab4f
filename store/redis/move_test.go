package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// move is a slot that moves from one node to another, key by key, as redis-cli
// --cluster reshard moves it.
type move struct {
	t        *testing.T
	nodes    []*goredis.Client
	slot     int64
	from, to *goredis.Client
}

// begin prepares the move of the slot of key to the next node.
func (c cluster) begin(t *testing.T, key string) move {
	t.Helper()
	m := move{t: t}
	for _, s := range c.nodes {
		m.nodes = append(m.nodes, s.client(t))
	}
	var err error
	if m.slot, err = m.nodes[0].ClusterKeySlot(t.Context(), key).Result(); err != nil {
		t.Fatal(err)
	}
	for i, node := range m.nodes {
		// Only the owner answers for the slot.
		if _, moved := goredis.IsMovedError(node.Exists(t.Context(), key).Err()); !moved {
			m.from, m.to = node, m.nodes[(i+1)%len(m.nodes)]
		}
	}
	m.set(m.to, "importing", m.id(m.from))
	m.set(m.from, "migrating", m.id(m.to))
	return m
}

func (m move) id(node *goredis.Client) string {
	m.t.Helper()
	id, err := node.Do(m.t.Context(), "cluster", "myid").Text()
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

func (m move) set(on *goredis.Client, state, id string) {
	m.t.Helper()
	if err := on.Do(m.t.Context(), "cluster", "setslot", m.slot, state, id).Err(); err != nil {
		m.t.Fatalf("cluster setslot %d %s: %v", m.slot, state, err)
	}
}

func (m move) key(key string) {
	m.t.Helper()
	host, port, _ := net.SplitHostPort(m.to.Options().Addr)
	if err := m.from.Migrate(m.t.Context(), host, port, key, 0, stall).Err(); err != nil {
		m.t.Fatalf("migrate: %v", err)
	}
}

// finish moves the remaining keys, and calls pace before each key.
func (m move) finish(pace func()) {
	m.t.Helper()
	for {
		keys, err := m.from.ClusterGetKeysInSlot(m.t.Context(), int(m.slot), 100).Result()
		if err != nil {
			m.t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			pace()
			m.key(key)
		}
	}
	id := m.id(m.to)
	m.set(m.to, "node", id)
	for _, node := range m.nodes {
		m.set(node, "node", id)
	}
}

// wantMoving reports an error unless do is refused until its context ends, with
// Redis's error for a moving slot. A busy machine may need more time for the
// first try.
func wantMoving(t *testing.T, doing string, do func(ctx context.Context) error) {
	t.Helper()
	var err error
	for wait := 100 * time.Millisecond; wait < 10*time.Second; wait *= 4 {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		err = do(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if goredis.IsTryAgainError(err) {
			return
		}
	}
	t.Errorf("%s: got %v, want TRYAGAIN until the context ends", doing, err)
}

// testEntryAhead stops the move after one entry has moved, and before its due
// set moves.
func testEntryAhead(t *testing.T, c cluster) {
	const shard = "ahead:{0}:"
	s := openStore(t, c.client(t, nil), redis.Options{Prefix: "ahead:", Shards: 1})
	a := mustPut(t, s, store.Entry{ID: "a", Due: at(1), Body: []byte("body")})
	mustPut(t, s, store.Entry{ID: "b", Due: at(2)})
	m := c.begin(t, shard+"due")
	m.key(shard + "e:a")
	ctx := t.Context()

	if got, err := s.Get(ctx, "a"); err != nil || got.Version != a.Version {
		t.Errorf("Get of an entry that has moved: got version %d and %v, want %d", got.Version, err, a.Version)
	}
	_, err := s.Get(ctx, "c")
	wantErr(t, err, store.ErrNotFound, "Get of an entry that is nowhere")
	if got, err := s.Claim(ctx, at(5), at(10), 9); err != nil || len(got) != 1 || got[0].ID != "b" {
		t.Errorf("Claim: got %d entries and %v, want the one that hasn't moved", len(got), err)
	}
	wantMoving(t, "Claim of the one that has moved", func(ctx context.Context) error {
		_, err := s.Claim(ctx, at(6), at(10), 9)
		return err
	})
	wantMoving(t, "Put of the one that has moved", func(ctx context.Context) error {
		_, err := s.Put(ctx, a)
		return err
	})
	wantMoving(t, "an insert", func(ctx context.Context) error {
		_, err := s.Put(ctx, store.Entry{ID: "c"})
		return err
	})
	wantMoving(t, "Delete of the one that has moved", func(ctx context.Context) error { return s.Delete(ctx, "a", a.Version) })

	m.finish(func() {})
	if got, err := s.Claim(ctx, at(6), at(10), 9); err != nil || len(got) != 1 || got[0].ID != "a" || string(got[0].Body) != "body" {
		t.Errorf("Claim after the move: got %+v and %v, want the one that has moved", got, err)
	}
}

// testShardAhead stops the move after the due set has moved, and before any
// entry moves. On the other node, a command for one key then answers that the
// key does not exist.
func testShardAhead(t *testing.T, c cluster) {
	const shard = "behind:{0}:"
	s := openStore(t, c.client(t, nil), redis.Options{Prefix: "behind:", Shards: 1})
	a := mustPut(t, s, store.Entry{ID: "a", Due: at(1)})
	m := c.begin(t, shard+"due")
	m.key(shard + "due")
	ctx := t.Context()

	wantMoving(t, "Claim", func(ctx context.Context) error {
		_, err := s.Claim(ctx, at(5), at(10), 9)
		return err
	})
	wantMoving(t, "Put", func(ctx context.Context) error {
		_, err := s.Put(ctx, a)
		return err
	})
	wantMoving(t, "Delete", func(ctx context.Context) error { return s.Delete(ctx, "a", a.Version) })
	n := 0
	for e, err := range s.List(ctx) {
		if err != nil || e.Version != a.Version {
			t.Errorf("List: got version %d and %v, want %d", e.Version, err, a.Version)
		}
		n++
	}
	if n == 0 {
		t.Error("List: got nothing, want the entry")
	}

	m.finish(func() {})
	if got, err := s.Claim(ctx, at(5), at(10), 9); err != nil || len(got) != 1 {
		t.Errorf("Claim after the move: got %d entries and %v, want one, not put off", len(got), err)
	}
}

// testListAcrossAMove moves a shard in the middle of a list. The cursor of the
// old node has no meaning on the new node.
func testListAcrossAMove(t *testing.T, c cluster) {
	s := openStore(t, c.client(t, nil), redis.Options{Prefix: "list:", Shards: 1})
	const n = 1500
	for i := range n {
		mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%04d", i)})
	}
	seen := make(map[string]bool)
	moved := false
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.ID] = true
		if !moved && len(seen) == n/2 {
			moved = true
			c.begin(t, "list:{0}:due").finish(func() {})
		}
	}
	if len(seen) != n {
		t.Errorf("List across a move: got %d entries, want %d", len(seen), n)
	}
}
