package redis_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/internal/planted"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// rig runs the suite on a server that many stores share, each with its own
// prefix.
type rig struct {
	connect func(t *testing.T, c *cut) goredis.UniversalClient
	restart func() // optional; makes the store durable
	pages   bool
}

type rigged struct {
	*redis.Store
	client goredis.UniversalClient
	cut    *cut
	prefix string
}

func (r rig) open(t *testing.T, prefix string) store.Store {
	t.Helper()
	c := new(cut)
	client := r.connect(t, c)
	t.Cleanup(func() { client.Close() })
	s, err := redis.Open(t.Context(), client, redis.Options{Prefix: prefix, Shards: 4, Pages: r.pages})
	if err != nil {
		t.Fatal(err)
	}
	return rigged{Store: s, client: client, cut: c, prefix: prefix}
}

func (r rig) harness() storetest.Harness {
	h := storetest.Harness{
		Features: storetest.Features{Shared: true, Durable: r.restart != nil, Pager: r.pages, Counter: true, Notifier: true},
		Open:     func(t *testing.T) store.Store { return r.open(t, rand.Text()+":") },
		Peer:     func(t *testing.T, s store.Store) store.Store { return r.open(t, s.(rigged).prefix) },
		Break:    func(t *testing.T, s store.Store) { s.(rigged).cut.cut() },
		Flap:     func(t *testing.T, s store.Store) { s.(rigged).cut.flap() },
		Lose: func(t *testing.T, s store.Store, meanwhile func()) {
			warm(t, s)
			s.(rigged).cut.loseReply(meanwhile)
		},
		Corrupt: func(t *testing.T, s store.Store, id string) {
			s.(rigged).damage(t, id, "too short")
		},
	}
	if r.restart != nil {
		h.Reopen = func(t *testing.T, s store.Store) store.Store {
			r.restart()
			return r.open(t, s.(rigged).prefix)
		}
	}
	return h
}

// damage replaces the stored value of id.
func (s rigged) damage(t *testing.T, id, value string) {
	t.Helper()
	for shard := range 4 {
		key := fmt.Sprintf("%s{%d}:e:%s", s.prefix, shard, id)
		n, err := s.client.Exists(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			if err := s.client.Set(t.Context(), key, value, 0).Err(); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the entry to be damaged has no key")
}

func single(addr string) func(*testing.T, *cut) goredis.UniversalClient {
	return func(t *testing.T, c *cut) goredis.UniversalClient {
		return newClient(t, &goredis.Options{Addr: addr, Dialer: c.dial})
	}
}

func TestConformanceOnMiniredis(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	storetest.Run(t, rig{connect: single(m.Addr()), pages: true}.harness())
}

func TestConformanceOnServer(t *testing.T) {
	t.Parallel()
	storetest.Run(t, durable(t).harness())
}

// durable returns a rig on a server that syncs each write. A restart kills the
// server.
func durable(t *testing.T) rig {
	t.Helper()
	s := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	restart := func() {
		s.kill()
		s.start()
	}
	return rig{connect: single(s.addr), restart: restart, pages: true}
}

func TestConformanceSealed(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Sealed(durable(t).harness()))
}

// TestSealedSnapshotShowsNothing searches snapshots for secrets that hubs
// store. The snapshot of a sealed store has none of them. The snapshot of an
// unsealed store has all of them.
func TestSealedSnapshotShowsNothing(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{true, false} {
		dir := t.TempDir()
		server := startServer(t, "--dir", dir, "--rdbcompression", "no")
		s := store.Store(openStore(t, server.client(t), redis.Options{Pages: true}))
		if sealed {
			var err error
			s, err = store.Seal(t.Context(), s, store.SealOptions{
				IDKey: bytes.Repeat([]byte{1}, 32), Keys: map[string][]byte{"key-1": bytes.Repeat([]byte{2}, 32)}, Active: "key-1",
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		secrets := planted.In(t, s)
		if err := server.client(t).Save(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
		if err != nil {
			t.Fatal(err)
		}
		secrets.Check(t, content, sealed)
	}
}
