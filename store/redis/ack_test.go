package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// pair is a primary server with one replica.
type pair struct{ primary, replica *server }

func startPair(t *testing.T) pair {
	t.Helper()
	p := pair{primary: startServer(t, "--repl-diskless-sync-delay", "0")}
	host, port, _ := strings.Cut(p.primary.addr, ":")
	p.replica = startServer(t, "--replicaof", host+" "+port)
	p.replica.await("linked to the primary", func(c *goredis.Client) (bool, error) {
		info, err := c.Info(t.Context(), "replication").Result()
		return strings.Contains(info, "master_link_status:up"), err
	})
	return p
}

func TestWaitForReplicas(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	ctx := t.Context()
	s := openStore(t, p.primary.client(t), redis.Options{Ack: redis.Ack{Replicas: 1, Timeout: time.Minute}})
	replica := p.replica.client(t)
	e := store.Entry{ID: "a", Due: at(1)}
	for range 50 {
		e = mustPut(t, s, e)
		// The replica has the entry at once.
		keys, err := replica.Keys(ctx, "latchkey:{*}:e:a").Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("on the replica: got %d keys and %v, want one", len(keys), err)
		}
		kept, err := replica.Get(ctx, keys[0]).Result()
		if want := string(uint64Bytes(e.Version)); err != nil || !strings.HasPrefix(kept, want) {
			t.Fatalf("on the replica after Put: got header %q and %v, want version %q", kept, err, want)
		}
	}
	if err := s.Delete(ctx, "a", e.Version); err != nil {
		t.Errorf("Delete: got %v, want nil", err)
	}

	// The timeout passes soon. The test that lets the replica run never reaches
	// the timeout.
	s = openStore(t, p.primary.client(t), redis.Options{Ack: redis.Ack{Replicas: 1, Timeout: 10 * time.Millisecond}})
	resume := p.pause(t)
	_, err := s.Put(ctx, store.Entry{ID: "b", Due: at(1)})
	wantErr(t, err, redis.ErrAck, "Put while the replica stands still")
	e, err = s.Get(ctx, "b")
	if err != nil {
		t.Fatalf("Get of what was not acknowledged: got %v, want the entry: it was written", err)
	}
	_, err = s.Put(ctx, store.Entry{ID: "b"})
	wantErr(t, err, store.ErrExists, "an insert while the replica stands still")
	claimed, err := s.Claim(ctx, at(1), at(2), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim while the replica stands still: got %d entries and %v, want one: claims aren't acknowledged", len(claimed), err)
	}
	wantErr(t, s.Delete(ctx, "b", claimed[0].Version), redis.ErrAck, "Delete while the replica stands still")
	resume()
	p.primary.await("caught up with by its replica", func(c *goredis.Client) (bool, error) {
		n, err := c.Wait(ctx, 1, time.Second).Result()
		return n == 1, err
	})
}

// TestLostReplyIsStillAcknowledged loses the reply of a Put that waits for a
// stopped replica. go-redis sends the Put again on another connection. On the
// other connection, the Put must not count as acknowledged. Redis promises only
// that WAIT waits for the writes of its own connection, so the script writes
// again.
func TestLostReplyIsStillAcknowledged(t *testing.T) {
	p := startPair(t)
	line := startProxy(t, p.primary.addr)
	client := newClient(t, &goredis.Options{Addr: line.addr, PoolSize: 1})
	s := openStore(t, client, redis.Options{Ack: redis.Ack{Replicas: 1, Timeout: 50 * time.Millisecond}})
	mustPut(t, openStore(t, p.primary.client(t), redis.Options{}), store.Entry{ID: "loads-the-script"})
	// The claim uses a connection of the pool for pipelines.
	if _, err := s.Claim(t.Context(), at(1), at(2), 1); err != nil {
		t.Fatal(err)
	}
	if err := p.primary.client(t).ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.pause(t)
	line.arm(0, func() {})
	_, err := s.Put(t.Context(), store.Entry{ID: "a", Body: []byte("body")})
	if n := line.dropped(); n != 1 {
		t.Fatalf("replies thrown away: got %d, want 1", n)
	}
	wantErr(t, err, redis.ErrAck, "Put whose reply was lost, while the replica stands still")
	stats, err := p.primary.client(t).Info(t.Context(), "commandstats").Result()
	if err != nil || !strings.Contains(stats, "cmdstat_set:calls=2,") {
		t.Errorf("Put whose reply was lost: got %v and statistics\n%swant two SETs", err, stats)
	}
}

func TestWaitAOFOnAServerWithoutIt(t *testing.T) {
	s := startServer(t, "--appendonly", "yes")
	_, err := redis.Open(t.Context(), s.client(t), redis.Options{Ack: redis.Ack{AOF: true}})
	info := s.client(t).Info(t.Context(), "server").Val()
	if !strings.Contains(info, "redis_version:7.0.") && !strings.Contains(info, "redis_version:6.") {
		if err != nil {
			t.Errorf("Open with Ack.AOF on a server that knows WAITAOF: got %v, want nil", err)
		}
		return
	}
	wantErr(t, err, redis.ErrConfig, "Open with Ack.AOF on a server older than 7.2")
	if _, ok := errors.AsType[goredis.Error](err); !ok {
		t.Errorf("Open with Ack.AOF: got %v, want the server's answer reachable", err)
	}
}

func TestWaitAOFReplies(t *testing.T) {
	for _, c := range []struct {
		name, reply string
		ack         redis.Ack
		want        error
	}{
		{"acknowledged by both", "*2\r\n:1\r\n:2", redis.Ack{AOF: true, Replicas: 2}, nil},
		{"by more than asked", "*2\r\n:1\r\n:3", redis.Ack{AOF: true, Replicas: 2}, nil},
		{"by the master alone", "*2\r\n:1\r\n:0", redis.Ack{AOF: true}, nil},
		{"a replica is missing", "*2\r\n:1\r\n:1", redis.Ack{AOF: true, Replicas: 2}, redis.ErrAck},
		{"the master is missing", "*2\r\n:0\r\n:2", redis.Ack{AOF: true, Replicas: 2}, redis.ErrAck},
		{"an error", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.", redis.Ack{AOF: true}, redis.ErrAck},
		{"one number", "*1\r\n:1", redis.Ack{AOF: true}, redis.ErrAck},
		{"no numbers", "+OK", redis.Ack{AOF: true}, redis.ErrAck},
		{"WAIT of a replica", ":1", redis.Ack{Replicas: 1}, nil},
		{"WAIT of none", ":0", redis.Ack{Replicas: 1}, redis.ErrAck},
		{"WAIT without a number", "+OK", redis.Ack{Replicas: 1}, redis.ErrAck},
	} {
		t.Run(c.name, func(t *testing.T) {
			opened := make(chan struct{})
			f := startFake(t, func(command []string) string {
				if command[0] != "waitaof" && command[0] != "wait" {
					return healthy(command)
				}
				select {
				case <-opened:
					return c.reply
				default:
					return "*2\r\n:1\r\n:0"
				}
			})
			c.ack.Timeout = 1234 * time.Millisecond
			s := openStore(t, newClient(t, &goredis.Options{Addr: f.addr}), redis.Options{Ack: c.ack})
			close(opened)
			_, err := s.Put(t.Context(), store.Entry{ID: "a"})
			if !errors.Is(err, c.want) {
				t.Errorf("Put: got %v, want %v", err, c.want)
			}
			want := "wait 1 1234"
			switch {
			case c.ack.AOF && c.ack.Replicas == 2:
				want = "waitaof 1 2 1234"
			case c.ack.AOF:
				want = "waitaof 1 0 1234"
			}
			heard := f.heard(strings.Fields(want)[0])
			if len(heard) == 0 || heard[len(heard)-1] != want {
				t.Errorf("the server heard %q, want %q last", heard, want)
			}
		})
	}
}

func TestWaitAOFSwitchedOff(t *testing.T) {
	f := startFake(t, func(command []string) string {
		if command[0] == "waitaof" {
			return "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
		}
		return healthy(command)
	})
	_, err := redis.Open(t.Context(), newClient(t, &goredis.Options{Addr: f.addr}), redis.Options{Ack: redis.Ack{AOF: true}})
	wantErr(t, err, redis.ErrConfig, "Open with Ack.AOF on a server without an append-only file")
}

// TestAckedScriptForgotten makes the server forget the script.
func TestAckedScriptForgotten(t *testing.T) {
	p := startPair(t)
	client := p.primary.client(t)
	s := openStore(t, client, redis.Options{Ack: redis.Ack{Replicas: 1, Timeout: time.Minute}})
	forgetful(t, s, func() {
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
}
