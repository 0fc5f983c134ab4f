package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// pgxConn is a pool or a transaction of pgx.
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
