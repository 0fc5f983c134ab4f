package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-go/latchkey/store"
)

// Tx returns the entries as a transaction of pgx sees them, and writes them
// within it: what Put has written is there when the transaction commits, and is
// gone when it rolls back. Together with Hub.With of package async an
// application thus writes its own row and an answer in one transaction.
//
// Conflicts and repeats leave the transaction usable: ErrExists, ErrConflict
// and ErrNotFound come from statements that don't fail. Any other error that
// isn't ErrInvalid or ErrClosed may have ended the transaction; roll back then.
// A context that ends within a call ends the transaction too.
//
// Each entry that was written stays locked until the transaction ends, and
// everyone who writes to it waits. So keep transactions short, and let those
// that answer several callbacks do so in one order, by ID for example.
// Otherwise PostgreSQL ends one of two that wait for each other with code
// 40P01; run that one again.
//
// Under read committed, which is PostgreSQL's default, a conflict shows what
// others have committed meanwhile, and Hub goes on from there. Under repeatable
// read and serializable it is PostgreSQL's error 40001, which ends the
// transaction; run it again.
//
// The returned store has no Claim, which is ErrInvalid: hubs claim through the
// store itself. Its Close ends neither the transaction nor the store.
func (s *Store) Tx(tx pgx.Tx) store.Store {
	return newTx(s, pgxConn{tx, s.mode})
}

// SQLTx is Tx for a transaction of database/sql, with any driver for
// PostgreSQL, such as github.com/jackc/pgx/v5/stdlib. Behind PgBouncer in
// transaction mode the driver must be set not to prepare statements.
func (s *Store) SQLTx(tx *sql.Tx) store.Store {
	return newTx(s, sqlConn{tx})
}

// txStore is a store within a transaction of the application.
type txStore struct {
	parent  *Store
	entries entries
	calls   calls
	mu      sync.Mutex // a transaction runs one statement at a time
}

func newTx(s *Store, c conn) *txStore {
	return &txStore{parent: s, entries: entries{conn: c, sql: &s.sql}, calls: calls{end: func() {}}}
}

// txCall runs f as the transaction's only statement at a time.
func txCall[T any](ctx context.Context, s *txStore, op, id string, invalid error, f func() (T, error)) (T, error) {
	return call(ctx, &s.parent.calls, op, id, invalid, func() (T, error) {
		return call(ctx, &s.calls, op, id, nil, func() (result T, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if ctx.Err() != nil {
				return result, ctx.Err()
			}
			return f()
		})
	})
}

func (s *txStore) Get(ctx context.Context, id string) (store.Entry, error) {
	return txCall(ctx, s, "get", id, store.CheckID(id), func() (store.Entry, error) { return s.entries.get(ctx, id) })
}

// Put sends the NOTIFY within the transaction: PostgreSQL delivers it when the
// transaction commits.
func (s *txStore) Put(ctx context.Context, e store.Entry) (uint64, error) {
	return txCall(ctx, s, "put", e.ID, e.Check(), func() (uint64, error) {
		return s.entries.put(ctx, e, s.parent.rule.Signals(e.Due, time.Now()))
	})
}

func (s *txStore) Delete(ctx context.Context, id string, version uint64) error {
	_, err := txCall(ctx, s, "delete", id, store.CheckID(id), func() (struct{}, error) {
		return struct{}{}, s.entries.delete(ctx, id, version)
	})
	return err
}

func (s *txStore) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	invalid := fmt.Errorf("%w: a store within a transaction doesn't claim", store.ErrInvalid)
	return txCall(ctx, s, "claim", "", invalid, func() ([]store.Entry, error) { return nil, nil })
}

func (s *txStore) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return list(func(after string) (found, error) {
		return txCall(ctx, s, "list", "", nil, func() (found, error) { return s.entries.page(ctx, after, batch) })
	})
}

func (s *txStore) Close() error {
	s.calls.close()
	return nil
}
