package postgres

import (
	"context"

	"github.com/latchkey-go/latchkey/store"
)

// Page implements [store.Pager]. The entries come in the order of their IDs. A
// page has at most 500 entries.
func (s *Store) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	var damaged error
	entries, err := settled(ctx, s, "page", "", store.CheckPage(after, n), func() ([]store.Entry, error) {
		for {
			all, err := retried(ctx, func() (found, error) { return s.entries.page(ctx, after, min(n, batch)) })
			if err != nil {
				return nil, err
			}
			if len(all.damaged) > 0 && damaged == nil {
				damaged = corrupt("page", all.damaged[0])
			}
			if len(all.entries) > 0 || all.last == "" {
				return all.entries, nil
			}
			after = all.last // all entries of that page were damaged
		}
	})
	if err == nil {
		err = damaged
	}
	return entries, err
}

// exact is the largest number that Count counts exactly.
const exact = 10_000

// countSQL counts up to one more than $1.
const countSQL = `SELECT count(*) FROM (SELECT FROM {entries} LIMIT $1::bigint + 1) AS counted`

// estimateSQL returns PostgreSQL's estimate. The estimate is the number of rows
// in a page, as of the last vacuum or analyze, times the number of pages.
const estimateSQL = `SELECT CASE WHEN reltuples > 0 AND relpages > 0
	THEN (reltuples::float8 / relpages * (pg_relation_size(c.oid) / current_setting('block_size')::bigint))::bigint ELSE 0 END
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
	WHERE s.nspname = $1::text AND c.relname = $2::text`

// Count implements [store.Counter]. Count is exact up to 10,000 entries. Above
// that, Count returns PostgreSQL's estimate as of the last vacuum or analyze,
// because the server needs a tenth of a second or more to count a million rows.
func (s *Store) Count(ctx context.Context) (int, error) {
	return settled(ctx, s, "count", "", nil, func() (int, error) {
		return retried(ctx, func() (int, error) {
			n, err := s.number(ctx, s.sql.count, exact)
			if err != nil || n <= exact {
				return n, err
			}
			estimate, err := s.number(ctx, estimateSQL, s.sql.names.schema, s.sql.names.prefix+"entries")
			return max(n, estimate), err
		})
	})
}

// number returns the single number that a statement selects.
func (s *Store) number(ctx context.Context, sql string, args ...any) (n int, err error) {
	rows, err := s.entries.conn.query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	defer rows.close()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}
