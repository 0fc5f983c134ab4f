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

// Tx returns a store that reads and writes within a transaction of pgx. A
// commit makes the writes of the returned store durable, and a rollback undoes
// them. With Hub.With of package async, an application writes its own row and
// an answer in one transaction.
//
// ErrExists, ErrConflict and ErrNotFound leave the transaction usable, because
// no statement has failed. ErrInvalid and ErrClosed also leave the transaction
// usable. After any other error, roll back. A context that ends within a call
// ends the transaction too.
//
// An entry that was written stays locked until the transaction ends, and other
// writers of the entry wait. Therefore keep transactions short. If a
// transaction answers several callbacks, answer them in one order everywhere,
// for example by ID. Otherwise two transactions may wait for each other, and
// PostgreSQL ends one of them with code 40P01; run that transaction again.
//
// Inside the transaction, make no call that takes another connection of the
// same pool, such as a call of this store or of a hub on it. When transactions
// hold all connections, such calls wait for each other forever.
//
// Under read committed, the default of PostgreSQL, a conflict shows the changes
// that other transactions have committed. The hub then continues with these
// changes. Under repeatable read and serializable, a conflict is PostgreSQL's
// error 40001, which ends the transaction; run the transaction again.
//
// Claim of the returned store returns ErrInvalid: hubs claim through the store
// itself. Close of the returned store ends neither the transaction nor the store.
func (s *Store) Tx(tx pgx.Tx) store.Store {
	return newTx(s, pgxConn{tx, s.mode})
}

// SQLTx is like Tx, for a transaction of database/sql with any driver for
// PostgreSQL, such as github.com/jackc/pgx/v5/stdlib. Behind PgBouncer in
// transaction mode, configure the driver not to prepare statements.
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

// txCall runs f while no other statement of the transaction runs.
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

// Put sends NOTIFY within the transaction, and PostgreSQL delivers it with the
// commit.
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
	invalid := fmt.Errorf("%w: Claim must be called outside of the transaction", store.ErrInvalid)
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
