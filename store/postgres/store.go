package postgres

import (
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/internal/wake"
)

// Store is a store.Store in PostgreSQL. Any number of goroutines may call its
// methods.
type Store struct {
	pool    *pgxpool.Pool
	done    func() // closes the pool if the store has opened it
	mode    pgx.QueryExecMode
	pooled  bool
	sql     statements
	entries entries
	calls   calls

	rule     wake.Rule // decides which writes are signaled
	notifier notifier
	doubts   doubts
}

// Get implements [store.Store] with one round trip.
func (s *Store) Get(ctx context.Context, id string) (store.Entry, error) {
	return settled(ctx, s, "get", id, store.CheckID(id), func() (store.Entry, error) {
		return retried(ctx, func() (store.Entry, error) { return s.entries.get(ctx, id) })
	})
}

// Put implements [store.Store] with one round trip. If the entry is due soon,
// the store then sends NOTIFY; Put does not wait for that.
func (s *Store) Put(ctx context.Context, e store.Entry) (uint64, error) {
	return settled(ctx, s, "put", e.ID, e.Check(), func() (uint64, error) {
		version, err := retried(ctx, func() (uint64, error) { return s.entries.put(ctx, e, false) })
		if err == nil {
			s.signal(e.Due)
		}
		return version, err
	})
}

// signal sends NOTIFY for a write that makes an entry due at that time, if the rule
// requires a signal.
func (s *Store) signal(due time.Time) {
	if s.rule.Signals(due, time.Now()) {
		s.notifier.send(s)
	}
}

// Delete implements [store.Store] with one round trip. If there is nothing to
// delete at that version, Delete takes two round trips.
func (s *Store) Delete(ctx context.Context, id string, version uint64) error {
	_, err := settled(ctx, s, "delete", id, store.CheckID(id), func() (struct{}, error) {
		return retried(ctx, func() (struct{}, error) { return struct{}{}, s.entries.delete(ctx, id, version) })
	})
	return err
}

// Claim implements [store.Store] with one round trip. If other transactions
// have locked all due entries, Claim waits for one of them, because an empty
// answer would mean that nothing is due.
func (s *Store) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	return settled(ctx, s, "claim", "", store.CheckClaim(now, until, n), func() ([]store.Entry, error) {
		for {
			all, err := retried(ctx, func() (found, error) {
				return s.entries.query(ctx, s.sql.claim, now.UnixMilli(), until.UnixMilli(), min(n, batch), newVersion(), store.MaxClaim)
			})
			switch {
			case err != nil:
				return nil, err
			case len(all.entries) == 0 && len(all.damaged) > 0:
				return nil, corrupt("claim", all.damaged[0])
			case len(all.entries) == 0:
				return nil, nil
			case all.entries[0].Version != 0:
				s.signal(until)
				return all.entries, nil // a damaged entry among them is due again at until
			}
			if err := s.wait(ctx, all.last); err != nil {
				return nil, err
			}
		}
	})
}

// wait waits until no transaction has the entry locked. After half a second,
// wait returns without an error, because another entry may be due by then. wait
// holds no other lock, so it takes part in no deadlock.
func (s *Store) wait(ctx context.Context, id string) error {
	_, err := s.pool.Exec(ctx, s.sql.wait, pgx.QueryExecModeSimpleProtocol, id)
	switch sqlState(err) {
	case "55P03", "40001", "40P01": // lock_not_available, and conflicts, which also end the wait
		return nil
	}
	return err
}

// List implements [store.Store]. List yields the entries in the order of their
// IDs. Each page is read with a call of its own, so that the body of the loop
// holds no connection. Between pages, List notices Close and the end of the
// context.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return list(func(after string) (found, error) {
		return settled(ctx, s, "list", "", nil, func() (found, error) {
			return retried(ctx, func() (found, error) { return s.entries.page(ctx, after, batch) })
		})
	})
}

// list yields the entries of each page, and then the errors of its damaged entries.
// An error of a page ends the list.
func list(page func(after string) (found, error)) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for last := ""; ; {
			all, err := page(last)
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
			for _, e := range all.entries {
				if !yield(e, nil) {
					return
				}
			}
			for _, id := range all.damaged {
				if !yield(store.Entry{}, corrupt("list", id)) {
					return
				}
			}
			if last = all.last; last == "" {
				return
			}
		}
	}
}
