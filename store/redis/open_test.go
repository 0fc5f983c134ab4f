package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

func TestShardCountIsKept(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
	openStore(t, client, redis.Options{Shards: 7})
	openStore(t, client, redis.Options{Shards: 7})
	_, err := redis.Open(t.Context(), client, redis.Options{Shards: 8})
	wantErr(t, err, redis.ErrConfig, "Open with another number of shards")
	if err != nil && (!strings.Contains(err.Error(), "7") || !strings.Contains(err.Error(), "8")) {
		t.Errorf("Open with another number of shards: got %q, want both numbers named", err)
	}
	_, err = redis.Open(t.Context(), client, redis.Options{Shards: 7, Pages: true})
	wantErr(t, err, redis.ErrConfig, "Open with pages of a store that was created without")
	if err := client.Set(t.Context(), "latchkey:meta", "layout of tomorrow", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_, err = redis.Open(t.Context(), client, redis.Options{Shards: 7})
	wantErr(t, err, store.ErrCorrupt, "Open of an unknown layout")
}

func TestOptionsOutOfRange(t *testing.T) {
	addr := miniredis.RunT(t).Addr()
	client := newClient(t, &goredis.Options{Addr: addr})
	quick := newClient(t, &goredis.Options{Addr: addr, ReadTimeout: time.Second})
	ring := goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": addr}})
	defer ring.Close()
	replicas := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{addr}, RouteByLatency: true})
	defer replicas.Close()
	for _, c := range []struct {
		name   string
		client goredis.UniversalClient
		o      redis.Options
	}{
		{"too many shards", client, redis.Options{Shards: 1025}},
		{"a negative number of shards", client, redis.Options{Shards: -1}},
		{"a brace in the prefix", client, redis.Options{Prefix: "a{b}:"}},
		{"a space in the prefix", client, redis.Options{Prefix: "a b"}},
		{"a long prefix", client, redis.Options{Prefix: strings.Repeat("a", 65)}},
		{"a negative number of replicas", client, redis.Options{Ack: redis.Ack{Replicas: -1}}},
		{"a time-out with nothing to wait for", client, redis.Options{Ack: redis.Ack{Timeout: time.Second}}},
		{"a time-out under a millisecond", client, redis.Options{Ack: redis.Ack{Replicas: 1, Timeout: time.Microsecond}}},
		{"a time-out as long as the client's", quick, redis.Options{Ack: redis.Ack{Replicas: 1}}},
		{"no client", nil, redis.Options{}},
		{"a Ring", ring, redis.Options{}},
		{"a cluster read from replicas", replicas, redis.Options{}},
	} {
		s, err := redis.Open(t.Context(), c.client, c.o)
		if s != nil {
			t.Errorf("Open with %s: got a store, want none", c.name)
		}
		wantErr(t, err, redis.ErrConfig, "Open with "+c.name)
	}
}

func TestOpenByURL(t *testing.T) {
	m := miniredis.RunT(t)
	s, err := store.Open(t.Context(), "redis://"+m.Addr()+"/3?prefix=billing:&shards=5&pages=true&max_retries=1")
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, store.Entry{ID: "a", Due: at(1)})
	keys := m.DB(3).Keys()
	if len(keys) != 4 || !strings.HasPrefix(keys[0], "billing:") {
		t.Errorf("keys of database 3: got %q, want four with the prefix", keys)
	}
	if got, _ := m.DB(3).Get("billing:meta"); !strings.HasSuffix(got, " 5 pages") {
		t.Errorf("the meta key: got %q, want 5 shards with pages", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
	// The server notices the closed connections after a while.
	eventually(t, "closed, the connections of a store that opened its client", func() bool { return m.CurrentConnectionCount() == 0 })
}

func TestCloseLeavesTheCallersClient(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
	s := openStore(t, client, redis.Options{})
	if err := s.Close(); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the caller's client after Close: got %v, want nil", err)
	}
}

func TestURLsThatCannotBeUsed(t *testing.T) {
	const secret = "hunter"
	addr := miniredis.RunT(t).Addr()
	for _, c := range []struct {
		url  string
		want error
	}{
		{"redis://" + addr + "?shards=many", store.ErrInvalid},
		{"redis://" + addr + "?pages=some", store.ErrInvalid},
		{"redis://" + addr + "?aof=perhaps", store.ErrInvalid},
		{"redis://" + addr + "?replicas=1&ack_timeout=2", store.ErrInvalid},
		{"redis://" + addr + "?shards=2000", redis.ErrConfig},
		{"redis://" + addr + "?unknown_option=1", store.ErrInvalid},
		{"redis://" + addr + "?%zz", store.ErrInvalid},
		{"redis://" + addr + "?cluster=true&route_randomly=true", redis.ErrConfig},
		{"redis://" + addr + "?cluster=true&unknown_option=1", store.ErrInvalid},
		{"redis://" + addr + "?master_name=main&replica_only=true", redis.ErrConfig},
		{"redis://" + addr + "?master_name=main&unknown_option=1", store.ErrInvalid},
		{"redis://user:1/" + secret + "@" + addr, store.ErrInvalid},
		{"redis://user:1#" + secret + "@" + addr, store.ErrInvalid},
		{"redis:" + addr, store.ErrInvalid},
	} {
		s, err := store.Open(t.Context(), c.url)
		if s != nil || err == nil {
			t.Errorf("Open of %s: got a store, want an error", strings.ReplaceAll(c.url, addr, "host"))
			continue
		}
		wantErr(t, err, c.want, "Open of "+strings.ReplaceAll(c.url, addr, "host"))
		if strings.Contains(err.Error(), secret) {
			t.Errorf("Open: got %q, want nothing of the password", err)
		}
	}
}

func TestEvictionIsRefused(t *testing.T) {
	client := startServer(t, "--maxmemory", "100mb").client(t)
	for policy, want := range map[string]error{
		"allkeys-lru": redis.ErrConfig, "allkeys-lfu": redis.ErrConfig, "allkeys-random": redis.ErrConfig,
		"volatile-ttl": nil, "volatile-lru": nil, "noeviction": nil,
	} {
		if err := client.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		s, err := redis.Open(t.Context(), client, redis.Options{})
		if !errors.Is(err, want) || (s == nil) != (want != nil) {
			t.Errorf("Open with maxmemory-policy %s: got %v, want %v", policy, err, want)
		}
		if want != nil && !strings.Contains(fmt.Sprint(err), policy) {
			t.Errorf("Open with maxmemory-policy %s: got %v, want the policy named", policy, err)
		}
	}
}

func TestDurabilityInWords(t *testing.T) {
	client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
	seen := make(map[string]bool)
	for _, ack := range []redis.Ack{{}, {Replicas: 1}, {Replicas: 2}} {
		s := openStore(t, client, redis.Options{Ack: ack})
		says := s.Durability()
		if seen[says] || (ack.Replicas > 0) != strings.Contains(says, fmt.Sprintf("%d replica", ack.Replicas)) {
			t.Errorf("Durability with %+v: got %q, want what that gives", ack, says)
		}
		seen[says] = true
	}
}

func TestOpenWithAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := miniredis.RunT(t)
	_, err := redis.Open(ctx, newClient(t, &goredis.Options{Addr: m.Addr()}), redis.Options{})
	wantErr(t, err, context.Canceled, "Open")
	if keys := m.Keys(); len(keys) != 0 {
		t.Errorf("after Open with a context that had ended: got keys %q, want none", keys)
	}
}

// TestLeastRights uses a user with only the rights that docs/operations.md
// names.
func TestLeastRights(t *testing.T) {
	server := startServer(t)
	rights := []any{"acl", "setuser", "app", "on", ">secret", "~app:*",
		"+@connection", "+@read", "+@write", "+@scripting", "-@dangerous", "+info", "+wait"}
	signals := []any{"acl", "setuser", "app", "&app:*", "+publish", "+subscribe"}
	if err := server.client(t).Do(t.Context(), rights...).Err(); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, &goredis.Options{Addr: server.addr, Username: "app", Password: "secret"})
	forgetful(t, openStore(t, client, redis.Options{Prefix: "app:"}), func() {})
	s := openStore(t, client, redis.Options{Prefix: "app:"})
	if _, err := s.Watch(t.Context()); !goredis.IsPermissionError(err) {
		t.Errorf("Watch without the rights for signals: got %v, want NOPERM", err)
	}
	if _, err := s.Put(t.Context(), store.Entry{ID: "now", Due: time.Now()}); err != nil {
		t.Errorf("Put of what is due at once, without the rights for signals: got %v, want nil", err)
	}
	if err := server.client(t).Do(t.Context(), signals...).Err(); err != nil {
		t.Fatal(err)
	}
	watched, err := s.Watch(t.Context())
	if err != nil {
		t.Fatalf("Watch with the rights for signals: %v", err)
	}
	if _, err := s.Put(t.Context(), store.Entry{ID: "now-too", Due: time.Now()}); err != nil {
		t.Errorf("Put: got %v, want nil", err)
	}
	<-watched
	_, err = openStore(t, client, redis.Options{Prefix: "app:", Ack: redis.Ack{Replicas: 1, Timeout: time.Millisecond}}).
		Put(t.Context(), store.Entry{ID: "a"})
	wantErr(t, err, redis.ErrAck, "Put with nobody to acknowledge it")
	_, err = redis.Open(t.Context(), client, redis.Options{Prefix: "other:"})
	if !goredis.IsPermissionError(err) {
		t.Errorf("Open under a prefix that is forbidden: got %v, want NOPERM", err)
	}
}
