package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
)

const backend = "postgres"

// Open opens a store whose tables exist: see [Migrate]. It connects once. Open
// returns [ErrSchema] if the tables are missing or belong to another release,
// an error if the server accepts no writes, and store.ErrInvalid if the options
// are invalid.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, openError(err)
	}
	pool, done, err := o.pool(ctx)
	if err != nil {
		return nil, openError(err)
	}
	server, err := o.look(ctx, pool)
	if err != nil {
		done()
		return nil, openError(err)
	}
	s := &Store{pool: pool, done: done, pooled: server.pooled}
	s.calls.ended, s.calls.end = context.WithCancel(context.Background())
	s.sql = newStatements(server.names)
	s.mode = modeFor(pool, server.pooled)
	s.entries = entries{conn: poolConn{pool, s.mode, &s.doubts}, sql: &s.sql}
	return s, nil
}

// pool returns the pool to use. pool also returns a function that closes the
// pool if the store has opened it.
func (o Options) pool(ctx context.Context) (pool *pgxpool.Pool, done func(), err error) {
	if o.Pool != nil {
		return o.Pool, func() {}, nil
	}
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		// The error of pgx repeats the URL, which may contain a password.
		return nil, nil, fmt.Errorf("%w: pgxpool.ParseConfig refuses the URL", store.ErrInvalid)
	}
	// If there are several hosts, the setting chooses the one that accepts
	// writes, because the answers of a standby are stale.
	config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	if pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, nil, err
	}
	return pool, pool.Close, nil
}

// server is Open's information about the server.
type server struct {
	names  names
	pooled bool // there is a pooler such as PgBouncer between the store and the server
}

// oldest is the oldest release of PostgreSQL that the store supports.
const oldest = 130000

func (o Options) look(ctx context.Context, pool *pgxpool.Pool) (s server, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return s, err
	}
	defer conn.Release()
	var pid uint32
	var version int
	var readOnly bool
	err = conn.QueryRow(ctx, `SELECT pg_backend_pid(), current_setting('server_version_num')::int4,
		pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool`, pgx.QueryExecModeExec).Scan(&pid, &version, &readOnly)
	switch {
	case err != nil:
		return s, err
	case version < oldest:
		return s, fmt.Errorf("the server must be PostgreSQL 13 or newer, its version number is %d", version)
	case readOnly:
		return s, errors.New("the server must accept writes: it is a standby, or default_transaction_read_only is on")
	}
	// A pooler answers a new connection with the pooler's own process ID.
	s.pooled = pid != conn.Conn().PgConn().PID()
	schema := o.Schema
	if schema == "" {
		if schema, err = currentSchema(ctx, conn); err != nil {
			return s, err
		}
	}
	s.names = newNames(schema, o.TablePrefix)
	return s, s.names.check(ctx, conn)
}

// modeFor returns the mode in which statements are sent, or 0 for the pool's
// own mode. Prepared statements fail behind a pooler in transaction mode. The
// simple protocol would write bodies into the text of statements, which the
// server logs.
func modeFor(pool *pgxpool.Pool, pooled bool) pgx.QueryExecMode {
	if pooled || pool.Config().ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		return pgx.QueryExecModeCacheDescribe
	}
	return 0
}

// Close waits for the calls in progress. Close closes a pool that the store has
// opened by URL, and leaves a pool from Options.Pool open.
func (s *Store) Close() error {
	if s.calls.close() {
		s.done()
	}
	return nil
}
