package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// at returns the time ms milliseconds after a fixed time in 2030.
func at(ms int) time.Time { return time.UnixMilli(1_900_000_000_000 + int64(ms)).UTC() }

func openStore(tb testing.TB, client goredis.UniversalClient, o redis.Options) *redis.Store {
	tb.Helper()
	s, err := redis.Open(tb.Context(), client, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func mustPut(tb testing.TB, s store.Store, e store.Entry) store.Entry {
	tb.Helper()
	version, err := s.Put(tb.Context(), e)
	if err != nil {
		tb.Fatalf("Put of %s: got %v, want nil", e.ID, err)
	}
	e.Version = version
	return e
}

func wantErr(tb testing.TB, err, want error, doing string) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("%s: got %v, want an error that is %q", doing, err, want)
	}
	if _, ok := errors.AsType[*store.Error](err); !ok {
		tb.Errorf("%s: got %T, want an *store.Error", doing, err)
	}
}

// trips counts the round trips of a client: each command and each pipeline is
// one.
type trips struct {
	mu   sync.Mutex
	sent []string
}

func (h *trips) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *trips) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		h.add(cmd.Name())
		return next(ctx, cmd)
	}
}

func (h *trips) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		h.add(fmt.Sprintf("%d %s", len(cmds), cmds[0].Name()))
		return next(ctx, cmds)
	}
}

func (h *trips) add(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = append(h.sent, what)
}

// claims returns the round trips since the last take, without the questions
// that a cluster's client asks about its nodes from time to time.
func (h *trips) claims() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.sent = nil }()
	return slices.DeleteFunc(h.sent, func(what string) bool { return what == "cluster" || what == "command" })
}

// take returns the round trips since the last take.
func (h *trips) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.sent = nil }()
	return strings.Join(h.sent, ", ")
}

func TestRoundTrips(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
	sent := new(trips)
	client.AddHook(sent)
	s := openStore(t, client, redis.Options{Shards: 3})
	ctx := t.Context()
	// The first call of a script loads it.
	e := mustPut(t, s, store.Entry{ID: "warm", Due: at(1)})
	if _, err := s.Claim(ctx, at(2), at(3), 1); err != nil {
		t.Fatal(err)
	}
	e, err := s.Get(ctx, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, e.ID, e.Version); err != nil {
		t.Fatal(err)
	}
	sent.take()

	for _, step := range []struct {
		doing, want string
		do          func() error
	}{
		{"an insert", "evalsha", func() (err error) {
			e.Version, err = s.Put(ctx, store.Entry{ID: "a", Due: at(1)})
			return err
		}},
		{"Get", "get", func() error {
			_, err := s.Get(ctx, "a")
			return err
		}},
		{"a replacement", "evalsha", func() (err error) {
			e.Version, err = s.Put(ctx, store.Entry{ID: "a", Version: e.Version, Due: at(5)})
			return err
		}},
		{"an empty Claim", "3 zcount", func() error {
			_, err := s.Claim(ctx, at(4), at(9), 10)
			return err
		}},
		{"a Claim", "3 zcount, 1 evalsha", func() error {
			got, err := s.Claim(ctx, at(5), at(9), 10)
			if err == nil {
				e = got[0]
			}
			return err
		}},
		{"Delete", "evalsha", func() error { return s.Delete(ctx, "a", e.Version) }},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: got %v, want nil", step.doing, err)
		}
		if got := sent.take(); got != step.want {
			t.Errorf("%s: sent %q, want %q", step.doing, got, step.want)
		}
	}
}

// TestCommands asks a real server which commands it ran, including those of
// scripts, and whether any key has a lifetime.
func TestCommands(t *testing.T) {
	client := startServer(t).client(t)
	s := openStore(t, client, redis.Options{})
	ctx := t.Context()
	ran := func() []string {
		t.Helper()
		info, err := client.Info(ctx, "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		names := make(map[string]bool)
		for line := range strings.Lines(info) {
			if name, ok := strings.CutPrefix(line, "cmdstat_"); ok {
				name, _, _ = strings.Cut(name, ":")
				name, _, _ = strings.Cut(name, "|")
				names[name] = true
			}
		}
		for _, name := range []string{"info", "hello", "client", "config"} {
			delete(names, name)
		}
		return slices.Sorted(maps.Keys(names))
	}
	for i := range 600 {
		mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Due: at(i)})
	}
	claimed, err := s.Claim(ctx, at(300), at(1000), 50)
	if err != nil || len(claimed) != 50 {
		t.Fatalf("Claim of 50: got %d entries and %v, want 50", len(claimed), err)
	}
	mustPut(t, s, claimed[0])
	if err := s.Delete(ctx, claimed[1].ID, claimed[1].Version); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"del", "eval", "evalsha", "get", "getrange", "set", "setrange", "strlen", "zadd", "zcount", "zrangebyscore", "zrem", "zscan"}
	if got := ran(); !slices.Equal(got, want) {
		t.Errorf("the server ran %q, want %q", got, want)
	}
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if ttl := client.TTL(ctx, key).Val(); ttl != -1 {
			t.Errorf("key %s: got a lifetime of %v, want none: it would be evictable", key, ttl)
		}
	}
	if want := 599 + 16 + 1; len(keys) != want {
		t.Errorf("got %d keys, want %d: an entry each, a due set for each shard, and the meta key", len(keys), want)
	}

	if err := client.ConfigResetStat(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Claim(ctx, at(-1), at(1000), 50); err != nil || len(got) != 0 {
		t.Fatalf("Claim with nothing due: got %d entries and %v, want none", len(got), err)
	}
	if got, want := ran(), []string{"zcount"}; !slices.Equal(got, want) {
		t.Errorf("for an empty claim the server ran %q, want %q", got, want)
	}
}

func TestPrefixes(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
	var stores []*redis.Store
	for i, prefix := range []string{"", "a", "a:", "ameta", "latchkey"} {
		s := openStore(t, client, redis.Options{Prefix: prefix, Shards: i + 1})
		mustPut(t, s, store.Entry{ID: "same", Due: at(i), Body: []byte(prefix)})
		stores = append(stores, s)
	}
	for i, s := range stores {
		got, err := s.Claim(t.Context(), at(99), at(100), 99)
		if err != nil || len(got) != 1 {
			t.Errorf("Claim under prefix %d of %d: got %d entries and %v, want its own", i, len(stores), len(got), err)
		}
		n := 0
		for _, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("List under prefix %d of %d: got %d entries, want its own", i, len(stores), n)
		}
	}
}

// TestScriptsForgotten makes the server forget the scripts before each
// operation.
func TestScriptsForgotten(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
	s := openStore(t, client, redis.Options{Shards: 4})
	forgetful(t, s, func() {
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// forgetful calls forget before every operation.
func forgetful(t *testing.T, s store.Store, forget func()) {
	t.Helper()
	ctx := t.Context()
	const n = 20 // large enough that each shard has some entries
	for i := range n {
		forget()
		mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Due: at(i)})
	}
	forget()
	claimed, err := s.Claim(ctx, at(n), at(n+1), n)
	if err != nil || len(claimed) != n {
		t.Fatalf("Claim: got %d entries and %v, want %d", len(claimed), err, n)
	}
	forget()
	listed := 0
	for _, err := range s.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		listed++
	}
	if listed != n {
		t.Errorf("List: got %d entries, want %d", listed, n)
	}
	for _, e := range claimed {
		forget()
		if err := s.Delete(ctx, e.ID, e.Version); err != nil {
			t.Errorf("Delete: got %v, want nil", err)
		}
	}
}
