package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// conn runs statements on a pool or on a transaction of the application.
type conn interface {
	// exec returns the number of rows that the statement has written or
	// returned.
	exec(ctx context.Context, sql string, args ...any) (int64, error)
	query(ctx context.Context, sql string, args ...any) (rows, error)
}

// rows is the result of a query.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	close()
}

// poolConn is a pool that writes an entry, or claims if id is "". It notes the
// writes whose connection ended before the reply.
type poolConn struct {
	pool   *pgxpool.Pool
	mode   pgx.QueryExecMode
	doubts *doubts
	id     string
}

func (c poolConn) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	on, err := c.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer on.Release()
	n, err := pgxConn{on, c.mode}.exec(ctx, sql, args...)
	c.doubts.note(c.id, on, err)
	return n, err
}

func (c poolConn) query(ctx context.Context, sql string, args ...any) (rows, error) {
	on, err := c.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	r, err := pgxConn{on, c.mode}.query(ctx, sql, args...)
	if err != nil {
		c.doubts.note(c.id, on, err)
		on.Release()
		return nil, err
	}
	return pooledRows{r, on, c}, nil
}

// pooledRows gives its connection back when it is closed.
type pooledRows struct {
	rows
	on   *pgxpool.Conn
	from poolConn
}

func (r pooledRows) close() {
	r.rows.close()
	r.from.doubts.note(r.from.id, r.on, r.Err())
	r.on.Release()
}

// pgxConn is a pool, a connection or a transaction of pgx.
type pgxConn struct {
	conn interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}
	mode pgx.QueryExecMode // 0 means the connection's own mode
}

func (c pgxConn) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	done, err := c.conn.Exec(ctx, sql, c.args(args)...)
	return done.RowsAffected(), err
}

func (c pgxConn) query(ctx context.Context, sql string, args ...any) (rows, error) {
	r, err := c.conn.Query(ctx, sql, c.args(args)...)
	return pgxRows{r}, err
}

// args puts the mode first, as pgx expects it.
func (c pgxConn) args(args []any) []any {
	if c.mode == 0 {
		return args
	}
	return append([]any{c.mode}, args...)
}

type pgxRows struct{ pgx.Rows }

func (r pgxRows) close() { r.Close() }

// sqlConn is a transaction of database/sql.
type sqlConn struct{ tx *sql.Tx }

func (c sqlConn) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	done, err := c.tx.ExecContext(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

func (c sqlConn) query(ctx context.Context, sql string, args ...any) (rows, error) {
	r, err := c.tx.QueryContext(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return sqlRows{r}, nil
}

type sqlRows struct{ *sql.Rows }

func (r sqlRows) close() { _ = r.Close() } // Err returns the error
