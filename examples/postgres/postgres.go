package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
)

const backend = "postgres"

func init() {
	store.Register("postgres", openURL)
	store.Register("postgresql", openURL)
}

func openURL(ctx context.Context, u *url.URL) (store.Store, error) {
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		// What pgx says repeats the URL, in which a password may be anywhere.
		return nil, store.Wrap("open", backend, "", fmt.Errorf("%w: a URL that pgxpool.ParseConfig doesn't take", store.ErrInvalid))
	}
	return Open(ctx, config)
}

// schema runs as one transaction, and changes nothing where the table is there.
// Of processes that open at once all but the first wait for the lock: IF NOT
// EXISTS alone fails where two create together.
const schema = `
DO $$ BEGIN IF to_regclass('latchkey_entries') IS NULL THEN
	PERFORM pg_advisory_xact_lock(7811887265893);
	CREATE TABLE IF NOT EXISTS latchkey_entries (id text COLLATE "C" PRIMARY KEY,
		version bigint NOT NULL CHECK (version > 0), due bigint CHECK (due > 0), body bytea NOT NULL, sum integer NOT NULL);
	CREATE INDEX IF NOT EXISTS latchkey_entries_due ON latchkey_entries (due) WHERE due IS NOT NULL;
END IF; END $$`

// entries is a store.Store in PostgreSQL.
type entries struct {
	pool   *pgxpool.Pool
	mu     sync.RWMutex // calls hold it for reading, so that Close waits for them
	closed bool
}

// Open opens the store that config leads to: the table in the search path, which
// is made in its first schema where there is none. Every session is set to read
// committed, which the statements rely on, and to a server that takes writes,
// since what a standby answers is old.
func Open(ctx context.Context, config *pgxpool.Config) (store.Store, error) {
	config = config.Copy()
	config.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, store.Wrap("open", backend, "", err)
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		pool.Close()
		return nil, store.Wrap("open", backend, "", err)
	}
	return &entries{pool: pool}, nil
}

// Close waits for the calls under way, and ends the pool.
func (s *entries) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.pool.Close()
	return nil
}

// call is around every call: f runs where nothing is invalid, the context goes
// on and the store is open, and what went wrong is wrapped, once. PostgreSQL
// has two codes for damage.
func call[T any](ctx context.Context, s *entries, op, id string, invalid error, f func() (T, error)) (result T, err error) {
	if err = cmp.Or(invalid, ctx.Err()); err == nil {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if err = store.ErrClosed; !s.closed {
			result, err = f()
		}
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "XX001" || pg.Code == "XX002") {
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return result, store.Wrap(op, backend, id, err)
}

// Get takes one round trip.
func (s *entries) Get(ctx context.Context, id string) (store.Entry, error) {
	return call(ctx, s, "get", id, store.CheckID(id), func() (store.Entry, error) {
		found, err := s.query(ctx, "get", `SELECT id, version, due, body, sum FROM latchkey_entries WHERE id = $1`, id)
		if len(found) == 0 {
			return store.Entry{}, cmp.Or(err, store.ErrNotFound)
		}
		return found[0], err
	})
}

const insert = `INSERT INTO latchkey_entries (id, version, due, body, sum)
	VALUES ($1, $2, $3, coalesce($4, ''::bytea), $5) ON CONFLICT DO NOTHING`

const replace = `UPDATE latchkey_entries SET version = $2, due = $3, body = coalesce($4, ''::bytea), sum = $5
	WHERE id = $1 AND version = $6`

// Put takes one round trip. Where another transaction has the row, the
// statement waits for its end and then looks at the version again.
func (s *entries) Put(ctx context.Context, e store.Entry) (uint64, error) {
	return call(ctx, s, "put", e.ID, e.Check(), func() (uint64, error) {
		version, due := newVersion(), zeronull.Int8(max(0, e.Due.UnixMilli())) // the zero time is long before 1970
		sql, refused, args := insert, store.ErrExists, []any{e.ID, version, due, e.Body, sum(e)}
		if e.Version != 0 {
			sql, refused, args = replace, store.ErrConflict, append(args, int64(e.Version))
		}
		done, err := s.pool.Exec(ctx, sql, args...)
		if err != nil || done.RowsAffected() == 0 {
			return 0, cmp.Or(err, refused)
		}
		return uint64(version), nil
	})
}

// Delete takes one round trip, and two where it finds nothing to delete.
func (s *entries) Delete(ctx context.Context, id string, version uint64) error {
	_, err := call(ctx, s, "delete", id, store.CheckID(id), func() (there bool, err error) {
		done, err := s.pool.Exec(ctx, `DELETE FROM latchkey_entries WHERE id = $1 AND version = $2`, id, int64(version))
		if err != nil || done.RowsAffected() > 0 {
			return false, err
		}
		// A statement of its own: one that looked beside the DELETE would see
		// what was there before, and call the later of two equal deletes a
		// conflict.
		err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM latchkey_entries WHERE id = $1)`, id).Scan(&there)
		if err == nil && there {
			err = store.ErrConflict
		}
		return there, err
	})
	return err
}

// batch is how many entries one statement claims or lists at most.
const batch = 500

// claim takes what is due at $1: $3 entries at most, the oldest, and no more
// bodies than $5 bytes, but one entry at least. They get due $2 and version $4,
// the same for all, since versions are told apart for each ID.
//
// What another transaction has locked is passed over. So that this isn't taken
// for an answer, the ID alone comes back of an entry that is due where none
// could be claimed. No row at all means that nothing was due in this snapshot.
const claim = `
WITH locked AS (SELECT id, due, octet_length(body) AS size FROM latchkey_entries
	WHERE due <= $1 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED),
picked AS (SELECT id, due FROM (SELECT *, sum(size) OVER (ORDER BY due, id) AS total FROM locked) AS l
	WHERE total <= $5 OR total = size),
claimed AS (UPDATE latchkey_entries AS e SET version = $4, due = $2 FROM picked WHERE e.id = picked.id
	RETURNING e.id, e.version, e.due, e.body, e.sum, picked.due AS was),
hidden AS (SELECT id, 0::bigint, NULL::bigint, NULL::bytea, 0, NULL::bigint FROM latchkey_entries
	WHERE due <= $1 AND NOT EXISTS (SELECT FROM claimed) ORDER BY due LIMIT 1)
SELECT id, version, due, body, sum FROM (SELECT * FROM claimed UNION ALL SELECT * FROM hidden) AS answer ORDER BY was, id`

// Claim takes one round trip, unless all that is due is locked. Then it waits
// for one who has a lock: SKIP LOCKED alone would say that nothing is due.
func (s *entries) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	return call(ctx, s, "claim", "", store.CheckClaim(now, until, n), func() ([]store.Entry, error) {
		for {
			found, err := s.query(ctx, "claim", claim, now.UnixMilli(), until.UnixMilli(), min(n, batch), newVersion(), store.MaxClaim)
			switch {
			case len(found) == 0:
				return nil, err // of a damaged entry, if that is all there was
			case found[0].Version != 0:
				return found, nil // a damaged one among them is due again at until
			}
			// It has no other lock while it waits for this one, so no two wait
			// for each other.
			if _, err := s.pool.Exec(ctx, `SELECT FROM latchkey_entries WHERE id = $1 FOR SHARE`, found[0].ID); err != nil {
				return nil, err
			}
		}
	})
}

// page has up to $2 entries that follow $1, and no more bodies than $3 bytes,
// but one entry at least.
const page = `
SELECT id, version, due, body, sum FROM (
	SELECT *, octet_length(body) AS size, sum(octet_length(body)) OVER (ORDER BY id) AS total
	FROM (SELECT * FROM latchkey_entries WHERE id > $1 ORDER BY id LIMIT $2) AS l) AS p
WHERE total <= $3 OR total = size ORDER BY id`

// List reads pages in the order of the IDs, each in a call of its own: nothing
// is held while the loop works, and Close and the context are seen in between.
func (s *entries) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for last, more := "", true; more; {
			found, err := call(ctx, s, "list", "", nil, func() ([]store.Entry, error) {
				return s.query(ctx, "list", page, last, batch, store.MaxClaim)
			})
			for _, e := range found {
				if last = e.ID; !yield(e, nil) {
					return
				}
			}
			if more = err == nil && len(found) > 0; err != nil {
				yield(store.Entry{}, err)
			}
		}
	}
}

// query returns the entries that a statement selects. Where some are damaged it
// returns the others beside ErrCorrupt, and beside any other error none.
func (s *entries) query(ctx context.Context, op, sql string, args ...any) (found []store.Entry, damaged error) {
	rows, _ := s.pool.Query(ctx, sql, args...) // its error is that of the rows
	defer rows.Close()
	for rows.Next() {
		var e store.Entry
		var due zeronull.Int8
		var kept int32
		if err := rows.Scan(&e.ID, &e.Version, &due, &e.Body, &kept); err != nil {
			return nil, err
		}
		if due != 0 {
			e.Due = time.UnixMilli(int64(due)).UTC()
		}
		// A body that is kept is never NULL: this one is hidden, for Claim.
		if e.Body != nil && (kept != sum(e) || e.Check() != nil) {
			damaged = store.Wrap(op, backend, e.ID, store.ErrCorrupt)
			continue
		}
		found = append(found, e)
	}
	if rows.Err() != nil {
		return nil, rows.Err()
	}
	return found, damaged
}

// newVersion returns one that no entry has had. A generator of this process
// would do as well, until a copy of its machine goes on with the same numbers.
func newVersion() int64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}

// sum is over the ID too, so that a body isn't taken for another entry's.
func sum(e store.Entry) int32 {
	return int32(crc32.Update(crc32.ChecksumIEEE([]byte(e.ID)), crc32.IEEETable, e.Body))
}
