package redis

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

const maxShards = 1024

// Open returns a store on a client for a single node, Sentinel or a cluster.
// The client must read from masters only. Close of the store leaves the client
// open. Set the client's ContextTimeoutEnabled; otherwise a deadline does not
// end a call that was sent.
//
// Open returns ErrConfig if the options are out of range, or if the store was
// created with another number of shards. Open also returns ErrConfig if a
// server evicts keys without a lifetime (maxmemory-policy allkeys-*), or does
// not support Options.Ack. On a cluster, Open asks the current masters. If a
// server forbids INFO, Open does not check the eviction policy.
func Open(ctx context.Context, client redis.UniversalClient, o Options) (*Store, error) {
	s, err := open(ctx, client, o)
	return s, wrap(ctx, "open", "", err)
}

func open(ctx context.Context, client redis.UniversalClient, o Options) (*Store, error) {
	o.Prefix = cmp.Or(o.Prefix, "latchkey:")
	o.Shards = cmp.Or(o.Shards, 16)
	if o.Ack != (Ack{}) {
		o.Ack.Timeout = cmp.Or(o.Ack.Timeout, time.Second)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := checkClient(client, o.Ack); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Store{client: client, prefix: o.Prefix, ack: o.Ack}
	s.cluster, _ = client.(*redis.ClusterClient)
	s.next.Store(rand.Uint32()) // different processes begin with different shards
	for i := range o.Shards {
		s.due = append(s.due, s.dueSet(i))
		if o.Pages {
			s.ids = append(s.ids, s.idSet(i))
		}
	}
	if err := s.onMasters(ctx, s.checkServer); err != nil {
		return nil, err
	}
	if err := s.checkLayout(ctx); err != nil {
		return nil, err
	}
	if o.Ack.AOF {
		if err := s.onMasters(ctx, checkWaitAOF); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (o Options) check() error {
	switch {
	case len(o.Prefix) > 64 || strings.ContainsFunc(o.Prefix, func(r rune) bool { return r <= ' ' || r == '{' || r == '}' || r >= 0x7f }):
		return fmt.Errorf("%w: Options.Prefix must be 1 to 64 bytes of ASCII without braces, spaces and control characters", ErrConfig)
	case o.Shards < 1 || o.Shards > maxShards:
		return fmt.Errorf("%w: Options.Shards must be 1 to %d, got %d", ErrConfig, maxShards, o.Shards)
	case o.Ack.Replicas < 0:
		return fmt.Errorf("%w: Ack.Replicas must not be negative, got %d", ErrConfig, o.Ack.Replicas)
	case o.Ack == Ack{}:
		return nil
	case o.Ack.Replicas == 0 && !o.Ack.AOF:
		return fmt.Errorf("%w: Ack.Timeout needs Ack.Replicas or Ack.AOF", ErrConfig)
	case o.Ack.Timeout < time.Millisecond:
		return fmt.Errorf("%w: Ack.Timeout must be at least a millisecond, got %v", ErrConfig, o.Ack.Timeout)
	}
	return nil
}

// checkClient refuses clients that may read from replicas, and clients whose
// timeout is too short for an acknowledgement.
func checkClient(client redis.UniversalClient, ack Ack) error {
	var readTimeout time.Duration
	switch c := client.(type) {
	case nil:
		return fmt.Errorf("%w: Open needs a client, got nil", ErrConfig)
	case *redis.Ring:
		return fmt.Errorf("%w: a Ring moves keys to another server while one is unreachable: use a cluster", ErrConfig)
	case *redis.ClusterClient:
		if c.Options().ReadOnly {
			return fmt.Errorf("%w: the client must not read from replicas: unset ReadOnly, RouteByLatency and RouteRandomly", ErrConfig)
		}
		readTimeout = c.Options().ReadTimeout
	case *redis.Client:
		readTimeout = c.Options().ReadTimeout
	}
	if readTimeout > 0 && ack.Timeout >= readTimeout {
		return fmt.Errorf("%w: Ack.Timeout must be shorter than the client's ReadTimeout of %v, got %v", ErrConfig, readTimeout, ack.Timeout)
	}
	return nil
}

func (s *Store) onMasters(ctx context.Context, do func(context.Context, redis.UniversalClient) error) error {
	if s.cluster != nil {
		return s.cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return do(ctx, node) })
	}
	return do(ctx, s.client)
}

func (s *Store) checkServer(ctx context.Context, node redis.UniversalClient) error {
	info, err := node.Info(ctx).Result()
	if isReply(err) {
		// INFO is forbidden. checkLayout finds other problems of the server.
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case name == "maxmemory_policy" && strings.HasPrefix(value, "allkeys-"):
			return fmt.Errorf("%w: maxmemory-policy is %s, which evicts entries: set noeviction or volatile-*", ErrConfig, value)
		case name == "cluster_enabled" && value == "1" && s.cluster == nil:
			return fmt.Errorf("%w: the server belongs to a cluster and the client is for a single node: use a cluster client", ErrConfig)
		}
	}
	return nil
}

func checkWaitAOF(ctx context.Context, node redis.UniversalClient) error {
	err := node.Do(ctx, "waitaof", 1, 0, 1).Err()
	if isReply(err) {
		return fmt.Errorf("%w: Ack.AOF needs Redis 7.2 or newer, or Valkey, with appendonly yes; on an older server leave it out and set appendfsync always: %w", ErrConfig, err)
	}
	return err
}

// layout is the beginning of the value of the meta key. The number of shards
// follows, and withPages if the shards keep their IDs in order.
const (
	layout    = "latchkey 1 shards "
	withPages = " pages"
)

func (s *Store) checkLayout(ctx context.Context) error {
	wanted := layout + strconv.Itoa(len(s.due))
	if len(s.ids) > 0 {
		wanted += withPages
	}
	reply, err := s.run(ctx, openScript, Ack{}, []string{s.metaKey()}, wanted)
	if err != nil {
		return err
	}
	kept, _ := reply.(string)
	number, ok := strings.CutPrefix(kept, layout)
	number, pages := strings.CutSuffix(number, withPages)
	shards, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil:
		return fmt.Errorf("%w: the key %q has no layout of this release", store.ErrCorrupt, s.metaKey())
	case shards != len(s.due):
		return fmt.Errorf("%w: Options.Shards must be %d, as when the store was created, got %d", ErrConfig, shards, len(s.due))
	case pages != (len(s.ids) > 0):
		return fmt.Errorf("%w: Options.Pages must be %t, as when the store was created, got %t", ErrConfig, pages, !pages)
	}
	return nil
}

// Durability describes how durable a write is when Put returns nil, depending
// on Options.Ack.
func (s *Store) Durability() string {
	replicas := strconv.Itoa(s.ack.Replicas) + " replicas"
	if s.ack.Replicas == 1 {
		replicas = "1 replica"
	}
	switch {
	case s.ack.AOF && s.ack.Replicas > 0:
		return "writes are on disk in the append-only files of the master and of " + replicas
	case s.ack.AOF:
		return "writes are on disk in the master's append-only file"
	case s.ack.Replicas > 0:
		return "writes are as durable as the master's appendfsync makes them, and have reached " + replicas
	}
	return "writes are as durable as the master's appendfsync makes them"
}
