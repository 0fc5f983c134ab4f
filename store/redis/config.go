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
// The client must read from masters only, and stays the caller's: Close leaves
// it open. Set its ContextTimeoutEnabled, or a deadline ends no call that has
// been sent.
//
// ErrConfig means that the store would not keep its contract: the options are
// out of range, the store was created with another number of shards, a server
// evicts keys without a lifetime (maxmemory-policy allkeys-*), or it can't
// acknowledge as Options.Ack asks. Of a cluster the masters of this moment are
// asked; where INFO is forbidden the policy stays unknown.
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
	s.next.Store(rand.Uint32()) // not all processes at the same shard
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
		return fmt.Errorf("%w: a prefix is 1 to 64 bytes of ASCII without braces, spaces and control characters", ErrConfig)
	case o.Shards < 1 || o.Shards > maxShards:
		return fmt.Errorf("%w: %d shards, not 1 to %d", ErrConfig, o.Shards, maxShards)
	case o.Ack.Replicas < 0:
		return fmt.Errorf("%w: Ack.Replicas is %d", ErrConfig, o.Ack.Replicas)
	case o.Ack == Ack{}:
		return nil
	case o.Ack.Replicas == 0 && !o.Ack.AOF:
		return fmt.Errorf("%w: Ack.Timeout is set, but nothing to wait for", ErrConfig)
	case o.Ack.Timeout < time.Millisecond:
		return fmt.Errorf("%w: Ack.Timeout is %v, under a millisecond", ErrConfig, o.Ack.Timeout)
	}
	return nil
}

// checkClient refuses clients that may read what was written from where it
// hasn't arrived, or that give up before an acknowledgement can.
func checkClient(client redis.UniversalClient, ack Ack) error {
	var readTimeout time.Duration
	switch c := client.(type) {
	case nil:
		return fmt.Errorf("%w: the client is nil", ErrConfig)
	case *redis.Ring:
		return fmt.Errorf("%w: a Ring moves keys to another server while one is away: use a cluster", ErrConfig)
	case *redis.ClusterClient:
		if c.Options().ReadOnly {
			return fmt.Errorf("%w: the client reads from replicas (ReadOnly, RouteByLatency or RouteRandomly)", ErrConfig)
		}
		readTimeout = c.Options().ReadTimeout
	case *redis.Client:
		readTimeout = c.Options().ReadTimeout
	}
	if readTimeout > 0 && ack.Timeout >= readTimeout {
		return fmt.Errorf("%w: Ack.Timeout is %v, not under the client's ReadTimeout of %v", ErrConfig, ack.Timeout, readTimeout)
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
		// It may not be told. What else ails the server, checkLayout meets.
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
			return fmt.Errorf("%w: the server is a cluster's, and the client is for a single node", ErrConfig)
		}
	}
	return nil
}

func checkWaitAOF(ctx context.Context, node redis.UniversalClient) error {
	err := node.Do(ctx, "waitaof", 1, 0, 1).Err()
	if isReply(err) {
		return fmt.Errorf("%w: Ack.AOF needs Redis 7.2 or Valkey, with appendonly yes: %w", ErrConfig, err)
	}
	return err
}

// layout is what the meta key holds: the form of keys and values, the number of
// shards, and whether the shards have their IDs in order.
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
		return fmt.Errorf("%w: the key %q holds no layout of this release", store.ErrCorrupt, s.metaKey())
	case shards != len(s.due):
		return fmt.Errorf("%w: the store was created with %d shards, and can't be opened with %d", ErrConfig, shards, len(s.due))
	case pages != (len(s.ids) > 0):
		return fmt.Errorf("%w: the store was created with Options.Pages %t, and can't be opened with %t", ErrConfig, pages, !pages)
	}
	return nil
}

// Durability says in words what the store adds to the server's persistence
// before a Put returns.
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
