package redis

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// maxShare is the maximum number of entries that one script takes. While a script
// runs, its server does nothing else.
const maxShare = 1000

// Claim implements [store.Store]. Claim takes one round trip if nothing is due,
// and otherwise two for each node. Each shard has a share of the bytes in an
// answer. With large bodies, an answer may therefore have far fewer than
// store.MaxClaim bytes. Claim returns the entries of the nodes that answer.
// Claim returns the error of the other nodes when nothing else is due.
func (s *Store) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	claimed, err := s.claim(ctx, now, until, n)
	return claimed, wrap(ctx, "claim", "", err)
}

func (s *Store) claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	if err := store.CheckClaim(now, until, n); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	// In a round, other processes may have been faster, or damaged entries may
	// have been deferred. The next round then finds the entries that are still
	// due.
	var claimed []store.Entry
	var damaged error
	for more := true; more && len(claimed) == 0; {
		err := s.whileMoving(ctx, func() error {
			shares, err := s.shares(ctx, now, n)
			if more = len(shares) > 0; !more {
				return err
			}
			var bad error
			claimed, bad, err = s.take(ctx, shares, now, until)
			damaged = cmp.Or(damaged, bad)
			if len(claimed) > 0 {
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(claimed) == 0 {
		return nil, damaged
	}
	return claimed, nil
}

// share is the number of entries that a claim takes from one shard.
type share struct {
	shard, n int
	left     int // how many more entries the shard could give
}

// shares counts the due entries of each shard. The error is the error of a
// shard that did not answer.
func (s *Store) shares(ctx context.Context, now time.Time, n int) ([]share, error) {
	counts := each(ctx, s, len(s.due), func(i int) string { return s.due[i] }, func(c redis.Cmdable, i int) *redis.IntCmd {
		return c.ZCount(ctx, s.due[i], "-inf", score(now))
	})
	var err error
	first := int(s.next.Add(1) % uint32(len(s.due)))
	var shares []share
	for i := range s.due {
		shard := (first + i) % len(s.due)
		due, failed := counts[shard].Result()
		err = cmp.Or(err, failed)
		if due > 0 {
			shares = append(shares, share{shard: shard, left: int(min(due, maxShare))})
		}
	}
	return shareOut(shares, n), err
}

// shareOut gives each share an equal part of n. If some shards cannot fill
// their parts, the other shards get the rest. If n is too small for all shards,
// the first shards get it.
func shareOut(shares []share, n int) []share {
	for open := len(shares); open > 0 && n > 0; {
		part := max(1, n/open)
		open = 0
		for i := range shares {
			take := min(part, shares[i].left, n)
			shares[i].n += take
			shares[i].left -= take
			n -= take
			if shares[i].left > 0 {
				open++
			}
		}
	}
	for i := range shares {
		if shares[i].n == 0 {
			return shares[:i]
		}
	}
	return shares
}

// take claims the share of each shard. take returns the claimed entries with
// two errors: one for the first damaged entry, and the first other error.
func (s *Store) take(ctx context.Context, shares []share, now, until time.Time) (claimed []store.Entry, damaged, err error) {
	total := 0
	for _, sh := range shares {
		total += sh.n
	}
	until = time.UnixMilli(until.UnixMilli()).UTC()
	channel := s.channel(until)
	cmds := s.evalAll(ctx, claimScript, len(shares), func(i int) (string, []any) {
		sh := shares[i]
		atLeast := 0
		if i == 0 {
			// Each shard is the first one in turn, so that a body of any size
			// can be claimed.
			atLeast = 1
		}
		return s.due[sh.shard], []any{
			score(now), score(until), dueBytes(until), sh.n, store.MaxClaim / total * sh.n, atLeast,
			s.entries(sh.shard), freshVersions(sh.n), channel,
		}
	})
	for _, cmd := range cmds {
		reply, failed := cmd.StringSlice()
		if failed == nil && len(reply)%3 != 1 {
			failed = fmt.Errorf("redis: the claim script answered %d strings", len(reply))
		}
		if failed != nil {
			err = cmp.Or(err, failed)
			continue
		}
		if reply[0] != "" && damaged == nil {
			damaged = store.Wrap("claim", backend, reply[0], fmt.Errorf("%w: each claim puts it off: remove its key and call Delete", store.ErrCorrupt))
		}
		for r := reply[1:]; len(r) > 0; r = r[3:] {
			claimed = append(claimed, store.Entry{
				ID:      r[0],
				Version: binary.BigEndian.Uint64([]byte(r[1])),
				Due:     until,
				Body:    []byte(r[2][header:]),
			})
		}
	}
	return claimed, damaged, err
}

// evalAll runs a script n times in one pipeline. evalAll sends the script's
// text to servers that do not know it. On a cluster, each master has its own
// scripts.
func (s *Store) evalAll(ctx context.Context, sc *redis.Script, n int, call func(i int) (key string, args []any)) []*redis.Cmd {
	key := func(i int) string {
		key, _ := call(i)
		return key
	}
	cmds := each(ctx, s, n, key, func(c redis.Cmdable, i int) *redis.Cmd {
		key, args := call(i)
		return sc.EvalSha(ctx, c, []string{key}, args...)
	})
	var unknown []int
	for i, cmd := range cmds {
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			unknown = append(unknown, i)
		}
	}
	again := each(ctx, s, len(unknown), func(i int) string { return key(unknown[i]) }, func(c redis.Cmdable, i int) *redis.Cmd {
		key, args := call(unknown[i])
		return sc.Eval(ctx, c, []string{key}, args...)
	})
	for i, cmd := range again {
		cmds[unknown[i]] = cmd
	}
	return cmds
}

// freshVersions is a number of versions. The versions are drawn each time that
// go-redis sends them. go-redis may repeat a claim whose reply was lost. If
// another process has put an entry back meanwhile, the entry must not get a
// version that it had before.
type freshVersions int

// MarshalBinary returns n new versions. go-redis calls it for each send.
func (n freshVersions) MarshalBinary() ([]byte, error) { return drawVersions(int(n)), nil }
