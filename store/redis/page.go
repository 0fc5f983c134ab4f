package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// Page implements [store.Pager] in a store that was created with Options.Pages.
// The entries come in the order of their IDs. Page takes one round trip to each
// node for the IDs, and two more for the entries.
func (s *Store) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	page, err := s.pageAfter(ctx, after, n)
	return page, wrap(ctx, "page", after, err)
}

func (s *Store) pageAfter(ctx context.Context, after string, n int) (entries []store.Entry, damaged error) {
	if err := store.CheckPage(after, n); err != nil {
		return nil, err
	}
	if len(s.ids) == 0 {
		return nil, fmt.Errorf("%w: the store was created without Options.Pages", errors.ErrUnsupported)
	}
	for {
		ids, err := s.idsAfter(ctx, after, n)
		if err != nil {
			return nil, err
		}
		var found []store.Entry
		found, bad, err := s.readable(ctx, ids)
		if err != nil {
			return nil, err
		}
		damaged = cmp.Or(damaged, bad)
		if len(found) > 0 || len(ids) == 0 {
			return found, damaged
		}
		after = ids[len(ids)-1] // all entries of this page are gone or damaged
	}
}

// idsAfter returns IDs that follow the given ID, in order. idsAfter returns at
// least one if any follows. Each shard returns a little more than its part. If
// a shard may have more IDs, those after its last returned one are not known.
func (s *Store) idsAfter(ctx context.Context, after string, n int) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	lowest := "-"
	if after != "" {
		lowest = "(" + after
	}
	part := min(n, 2*n/len(s.ids)+16)
	replies := each(ctx, s, len(s.ids), func(i int) string { return s.ids[i] }, func(c redis.Cmdable, i int) *redis.StringSliceCmd {
		return c.ZRangeByLex(ctx, s.ids[i], &redis.ZRangeBy{Min: lowest, Max: "+", Count: int64(part)})
	})
	var ids []string
	end := ""
	for _, reply := range replies {
		some, err := reply.Result()
		if err != nil {
			return nil, err
		}
		ids = append(ids, some...)
		if len(some) == part && (end == "" || some[part-1] < end) {
			end = some[part-1]
		}
	}
	slices.Sort(ids)
	if end != "" {
		known, _ := slices.BinarySearch(ids, end)
		ids = ids[:known+1]
	}
	return ids[:min(n, len(ids))], nil
}

// readable returns the first of these entries, up to store.MaxClaim bytes,
// without entries that are gone. The error for the first damaged entry is
// returned separately.
func (s *Store) readable(ctx context.Context, ids []string) (entries []store.Entry, damaged, err error) {
	for len(ids) > 0 && len(entries) == 0 {
		var some []found
		if some, ids, err = s.read(ctx, func(i int) string { return s.entryKey(s.shard(ids[i]), ids[i]) }, ids); err != nil {
			return nil, nil, err
		}
		for _, f := range some {
			if f.damaged == nil {
				entries = append(entries, f.entry)
			}
			damaged = cmp.Or(damaged, f.damaged)
		}
	}
	return entries, damaged, nil
}

// Count implements [store.Counter] with one round trip to each node. An entry whose
// key was removed by hand counts until Delete is called for it.
func (s *Store) Count(ctx context.Context) (int, error) {
	n, err := s.count(ctx)
	return n, wrap(ctx, "count", "", err)
}

func (s *Store) count(ctx context.Context) (n int, err error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	for _, shard := range each(ctx, s, len(s.due), func(i int) string { return s.due[i] }, func(c redis.Cmdable, i int) *redis.IntCmd {
		return c.ZCard(ctx, s.due[i])
	}) {
		if shard.Err() != nil {
			return 0, shard.Err()
		}
		n += int(shard.Val())
	}
	return n, nil
}
