package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// entries runs the statements of a store on a connection.
type entries struct {
	conn conn
	sql  *statements
}

func (s entries) get(ctx context.Context, id string) (store.Entry, error) {
	found, err := s.query(ctx, s.sql.get, id)
	switch {
	case err != nil:
		return store.Entry{}, err
	case len(found.damaged) > 0:
		return store.Entry{}, corrupt("get", id)
	case len(found.entries) == 0:
		return store.Entry{}, store.ErrNotFound
	}
	return found.entries[0], nil
}

// put writes an entry in one statement, with or without a NOTIFY. If another
// transaction has locked the row, the statement waits until that transaction
// ends, and then compares the version again.
func (s entries) put(ctx context.Context, e store.Entry, notify bool) (uint64, error) {
	version := newVersion()
	var due *int64 // NULL is never
	if !e.Due.IsZero() {
		due = new(e.Due.UnixMilli())
	}
	sql, sqlDue, refused, args := s.sql.insert, s.sql.insertDue, store.ErrExists, []any{e.ID, version, due, e.Body, sum(e)}
	if e.Version != 0 {
		sql, sqlDue, refused, args = s.sql.replace, s.sql.replaceDue, store.ErrConflict, append(args, int64(e.Version))
	}
	if notify {
		sql = sqlDue
	}
	written, err := s.conn.exec(ctx, sql, args...)
	if err != nil || written == 0 {
		return 0, cmp.Or(err, refused)
	}
	return uint64(version), nil
}

// delete removes the entry at a version. delete uses a second statement if the
// first one finds nothing to delete.
func (s entries) delete(ctx context.Context, id string, version uint64) error {
	deleted, err := s.conn.exec(ctx, s.sql.delete, id, int64(version))
	if err != nil || deleted > 0 {
		return err
	}
	// Within the first statement, the check for an existing entry would use an
	// older snapshot. The check would then report a conflict for the later one
	// of two equal deletes.
	there, err := s.conn.exec(ctx, s.sql.exists, id)
	if err == nil && there > 0 {
		err = store.ErrConflict
	}
	return err
}

// batch is the maximum number of entries that one statement claims or lists.
const batch = 500

// found is the result of a SELECT.
type found struct {
	entries []store.Entry
	damaged []string // the IDs of damaged entries
	last    string   // the ID of the last row, damaged or not; "" if there was none
}

// page returns up to n entries whose IDs follow after, or fewer if their bodies
// are large. Only a page without a last row means that no more entries follow.
func (s entries) page(ctx context.Context, after string, n int) (found, error) {
	return s.query(ctx, s.sql.page, after, n, store.MaxClaim)
}

// query runs a statement that selects entries.
func (s entries) query(ctx context.Context, sql string, args ...any) (all found, err error) {
	rows, err := s.conn.query(ctx, sql, args...)
	if err != nil {
		return found{}, err
	}
	defer rows.close()
	for rows.Next() {
		var e store.Entry
		var due *int64
		var kept int32
		if err := rows.Scan(&e.ID, &e.Version, &due, &e.Body, &kept); err != nil {
			return found{}, err
		}
		if due != nil {
			e.Due = time.UnixMilli(*due).UTC()
		}
		all.last = e.ID
		// A stored body is never NULL. A NULL body marks the row that a claim
		// returns for a due entry that it could not claim.
		if e.Body != nil && (kept != sum(e) || e.Check() != nil) {
			all.damaged = append(all.damaged, e.ID)
			continue
		}
		all.entries = append(all.entries, e)
	}
	if err := rows.Err(); err != nil {
		return found{}, err
	}
	return all, nil
}

// corrupt returns the error for a damaged entry.
func corrupt(op, id string) error { return store.Wrap(op, backend, id, store.ErrCorrupt) }

// newVersion returns a version that no entry has had. The version comes from
// the system's random source. A generator in the process could draw the same
// versions in two clones of a virtual machine.
func newVersion() int64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}

// sum returns the checksum of an entry's ID and body. Because of the ID, the
// checksum does not match another entry with the same body.
func sum(e store.Entry) int32 {
	return int32(crc32.Update(crc32.ChecksumIEEE([]byte(e.ID)), crc32.IEEETable, e.Body))
}
