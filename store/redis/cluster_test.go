package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// cluster is a cluster of three masters.
type cluster struct{ nodes []*server }

func startCluster(t *testing.T) cluster {
	t.Helper()
	cli := program(t, "redis-cli")
	create := []string{"--cluster", "create"}
	var c cluster
	for range 3 {
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-port", freePort(t), "--cluster-node-timeout", "60000", "--cluster-require-full-coverage", "no")
		c.nodes = append(c.nodes, s)
		create = append(create, s.addr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, cli, append(create, "--cluster-replicas", "0", "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	for _, s := range c.nodes {
		s.await("a member of a cluster that is up", func(c *goredis.Client) (bool, error) {
			info, err := c.ClusterInfo(ctx).Result()
			return strings.Contains(info, "cluster_state:ok"), err
		})
	}
	return c
}

func (c cluster) client(t *testing.T, line *cut) *goredis.ClusterClient {
	o := &goredis.ClusterOptions{
		ContextTimeoutEnabled: true, DialerRetries: 1,
		MinRetryBackoff: time.Millisecond, MaxRetryBackoff: 8 * time.Millisecond,
		ReadTimeout: stall, WriteTimeout: stall, DialTimeout: stall,
	}
	if line != nil {
		o.Dialer = line.dial
	}
	for _, s := range c.nodes {
		o.Addrs = append(o.Addrs, s.addr)
	}
	client := goredis.NewClusterClient(o)
	t.Cleanup(func() { client.Close() })
	return client
}

// empty removes all entries, so that slots move quickly.
func (c cluster) empty(t *testing.T) {
	t.Helper()
	for _, s := range c.nodes {
		if err := s.client(t).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	t.Run("Conformance", func(t *testing.T) {
		connect := func(t *testing.T, line *cut) goredis.UniversalClient { return c.client(t, line) }
		storetest.Run(t, rig{connect: connect, pages: true}.harness())
	})
	c.empty(t)
	t.Run("ScriptsForgotten", func(t *testing.T) { testForgottenOnCluster(t, c) })
	t.Run("RoundTrips", func(t *testing.T) { testClusterRoundTrips(t, c) })
	t.Run("ClientForASingleNode", func(t *testing.T) {
		_, err := redis.Open(t.Context(), c.nodes[0].client(t), redis.Options{})
		wantErr(t, err, redis.ErrConfig, "Open of a cluster's node with a client for a single one")
	})
	t.Run("ByURL", func(t *testing.T) {
		s, err := store.Open(t.Context(), "redis://"+c.nodes[1].addr+"?cluster=true&prefix=url:&"+stallInURL)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		mustPut(t, s, store.Entry{ID: "a"})
	})
	c.empty(t)
	t.Run("EntryAheadOfItsShard", func(t *testing.T) { testEntryAhead(t, c) })
	t.Run("ShardAheadOfItsEntries", func(t *testing.T) { testShardAhead(t, c) })
	t.Run("ListAcrossAMove", func(t *testing.T) { testListAcrossAMove(t, c) })
	c.empty(t)
	t.Run("Acknowledged", func(t *testing.T) { testAckOnCluster(t, c) })
	c.empty(t)
	t.Run("Resharding", func(t *testing.T) { testResharding(t, c) })
	c.empty(t)
	t.Run("NodeAway", func(t *testing.T) { testNodeAway(t, c) }) // the last test, because the node stays away
}

func testForgottenOnCluster(t *testing.T, c cluster) {
	client := c.client(t, nil)
	forgetful(t, openStore(t, client, redis.Options{Prefix: "forgotten:"}), func() {
		err := client.ForEachMaster(t.Context(), func(ctx context.Context, node *goredis.Client) error {
			return node.ScriptFlush(ctx).Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// testClusterRoundTrips counts the commands that each node gets.
func testClusterRoundTrips(t *testing.T, c cluster) {
	client := c.client(t, nil)
	nodes := make(map[string]*trips)
	s := openStore(t, client, redis.Options{Prefix: "trips:"})
	claim := func(now, want int) {
		t.Helper()
		got, err := s.Claim(t.Context(), at(now), at(now+1), 100)
		if err != nil || len(got) != want {
			t.Fatalf("Claim: got %d entries and %v, want %d", len(got), err, want)
		}
	}
	for i := range 100 {
		mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Due: at(1)})
	}
	claim(1, 100) // loads the script on each node
	for _, server := range c.nodes {
		nodes[server.addr] = new(trips)
	}
	client.ForEachMaster(t.Context(), func(_ context.Context, node *goredis.Client) error {
		node.AddHook(nodes[node.Options().Addr])
		return nil
	})
	claim(2, 100)
	for addr, node := range nodes {
		if sent := node.claims(); len(sent) != 2 {
			t.Errorf("Claim: node %s was sent %q, want 2 pipelines", addr, sent)
		}
	}
	claim(-1, 0)
	for addr, node := range nodes {
		if sent := node.claims(); len(sent) != 1 {
			t.Errorf("an empty Claim: node %s was sent %q, want 1 pipeline", addr, sent)
		}
	}
}

// testAckOnCluster uses a cluster without replicas. WAIT reports that there are
// no replicas, which shows that it was sent to the right node.
func testAckOnCluster(t *testing.T, c cluster) {
	ctx := t.Context()
	s := openStore(t, c.client(t, nil), redis.Options{Prefix: "ack:", Shards: 1, Ack: redis.Ack{Replicas: 1, Timeout: 10 * time.Millisecond}})
	put := func(when string, e store.Entry) store.Entry {
		t.Helper()
		_, err := s.Put(ctx, e)
		wantErr(t, err, redis.ErrAck, "Put "+when)
		got, err := s.Get(ctx, e.ID)
		if err != nil || string(got.Body) != string(e.Body) {
			t.Fatalf("Get %s: got body %q and %v, want what was written", when, got.Body, err)
		}
		return got
	}
	e := put("at first", store.Entry{ID: "a", Body: []byte("first")})
	// The store's client learns of the move from the answer.
	c.begin(t, "ack:{0}:due").finish(func() {})
	e.Body = []byte("second")
	put("after a move", e)
}

// testNodeAway claims the entries of the nodes that are reachable.
func testNodeAway(t *testing.T, c cluster) {
	const n = 100
	client := c.client(t, nil)
	s := openStore(t, client, redis.Options{})
	on := make(map[string]int)
	for i := range n {
		e := mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Due: at(i)})
		for shard := range 16 {
			key := fmt.Sprintf("latchkey:{%d}:e:%s", shard, e.ID)
			if client.Exists(t.Context(), key).Val() == 1 {
				node, err := client.MasterForKey(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				on[node.Options().Addr]++
			}
		}
	}
	away := c.nodes[2]
	want := n - on[away.addr]
	if want == n || want == 0 {
		t.Fatalf("entries by node: got %v, want some on each", on)
	}
	away.kill()
	got := 0
	for {
		claimed, err := s.Claim(t.Context(), at(n), at(2*n), 10)
		if err != nil {
			if _, ok := errors.AsType[*store.Error](err); !ok {
				t.Errorf("Claim with nothing but what is away: got %T, want an *store.Error", err)
			}
			break
		}
		if len(claimed) == 0 {
			t.Error("Claim with a node away: got an empty answer, want an error: what it has is not known")
			break
		}
		got += len(claimed)
	}
	if got != want {
		t.Errorf("claimed with a node away: got %d entries, want the %d of the other nodes", got, want)
	}
}
