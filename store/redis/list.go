package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// pageSize is the approximate number of entries that List reads at once, with at
// most store.MaxClaim bytes of bodies.
const pageSize = 500

// List implements [store.Store]. List reads one shard after the other in pages,
// with three round trips for each page. List may yield an entry more than once.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		if err := s.list(ctx, yield); err != nil && err != errStopped {
			yield(store.Entry{}, wrap(ctx, "list", "", err))
		}
	}
}

var errStopped = errors.New("redis: the loop has ended")

func (s *Store) list(ctx context.Context, yield func(store.Entry, error) bool) error {
	for shard := range s.due {
		for at := (page{next: "0"}); ; {
			var err error
			if at, err = s.page(ctx, shard, at); err != nil {
				return err
			}
			for ids := at.ids; len(ids) > 0; {
				var some []found
				if some, ids, err = s.read(ctx, func(i int) string { return s.entryKey(shard, ids[i]) }, ids); err != nil {
					return err
				}
				for _, f := range some {
					if !yield(f.entry, wrap(ctx, "list", "", f.damaged)) {
						return errStopped
					}
					// The context is also checked after the last entry.
					if err := s.begin(ctx); err != nil {
						return err
					}
					s.calls.Done()
				}
			}
			if at.next == "0" {
				break
			}
		}
	}
	return nil
}

// page is one page of a shard's IDs.
type page struct {
	server string // the server to which cursor next belongs
	next   string // "0" before the first page, and after the last
	ids    []string
}

// page returns the page after p. After a failover, a restart or the move of a
// slot, the due set is on another server. page then returns the first page
// again, because each server hashes differently and the cursor would skip
// entries.
func (s *Store) page(ctx context.Context, shard int, p page) (page, error) {
	if err := s.begin(ctx); err != nil {
		return page{}, err
	}
	defer s.calls.Done()
	read := func(cursor string) (next page, err error) {
		reply, err := s.run(ctx, pageScript, Ack{}, []string{s.due[shard]}, cursor, pageSize)
		if err != nil {
			return page{}, err
		}
		parts, ok := reply.([]any)
		if !ok || len(parts) != 3 {
			return page{}, fmt.Errorf("redis: the page script answered %T", reply)
		}
		next.server, _ = parts[0].(string)
		next.next, _ = parts[1].(string)
		scored, _ := parts[2].([]any)
		for i := 0; i+1 < len(scored); i += 2 {
			id, _ := scored[i].(string)
			next.ids = append(next.ids, id)
		}
		return next, nil
	}
	next, err := read(p.next)
	if err == nil && p.next != "0" && next.server != p.server {
		next, err = read("0")
	}
	return next, err
}

// found is an entry that was read, or the error for it.
type found struct {
	entry   store.Entry
	damaged error
}

// read returns the first of these entries, up to store.MaxClaim bytes, and the
// remaining IDs. read leaves out entries that are gone. read uses a separate
// command for each entry, so that a moving slot disturbs no other entry.
func (s *Store) read(ctx context.Context, key func(i int) string, ids []string) ([]found, []string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer s.calls.Done()
	sizes := each(ctx, s, len(ids), key, func(c redis.Cmdable, i int) *redis.IntCmd { return c.StrLen(ctx, key(i)) })
	n, room := 0, int64(store.MaxClaim)
	for ; n < len(ids); n++ {
		size, err := sizes[n].Result()
		if err = corrupt(err); err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, nil, store.Wrap("list", backend, ids[n], err)
		}
		if room -= size; room < 0 && n > 0 {
			break
		}
	}
	values := each(ctx, s, n, key, func(c redis.Cmdable, i int) *redis.StringCmd { return c.Get(ctx, key(i)) })
	some := make([]found, 0, n)
	for i, id := range ids[:n] {
		value, err := values[i].Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		var e store.Entry
		if err == nil {
			e, err = decode(id, value)
		}
		if err = corrupt(err); err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, nil, store.Wrap("list", backend, id, err)
		}
		some = append(some, found{e, store.Wrap("list", backend, id, err)})
	}
	return some, ids[n:], nil
}
