package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
)

// settleLimit is how long calls wait for an earlier write without a reply.
const settleLimit = 5 * time.Second

// poolerLag is how long a write may take from its caller through a pooler
// to the server.
const poolerLag = 200 * time.Millisecond

// doubts are the writes without a reply: their connections ended first. The
// server may still execute such a write, or sync it, when its caller makes the
// next call. The zero value has none.
type doubts struct {
	number atomic.Int64 // so that a call without doubts takes no lock

	mu  sync.Mutex
	all []*doubt
}

// doubt is one write without a reply.
type doubt struct {
	id  string // of the entry; "" for a claim
	pid int32  // of the server's process; with a pooler, the pooler's own number
	at  time.Time
}

// note adds a doubt if a write of this entry has ended with err and without a
// reply.
func (d *doubts) note(id string, on *pgxpool.Conn, err error) {
	if err == nil || !on.Conn().IsClosed() || pgconn.SafeToRetry(err) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, &doubt{id, int32(on.Conn().PgConn().PID()), time.Now()})
	d.forget()
}

// about returns the doubts about an entry, or about claims if id is "".
func (d *doubts) about(id string) (found []*doubt) {
	if d.number.Load() == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	for _, one := range d.all {
		if one.id == id {
			found = append(found, one)
		}
	}
	return found
}

// forget removes the doubts that are older than settleLimit. The caller of
// forget holds d.mu.
func (d *doubts) forget() {
	d.all = slices.DeleteFunc(d.all, func(one *doubt) bool { return time.Since(one.at) > settleLimit })
	d.number.Store(int64(len(d.all)))
}

func (d *doubts) remove(some []*doubt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = slices.DeleteFunc(d.all, func(one *doubt) bool { return slices.Contains(some, one) })
	d.number.Store(int64(len(d.all)))
}

// latest returns the time of the latest of some doubts.
func latest(open []*doubt) time.Time {
	return slices.MaxFunc(open, func(a, b *doubt) int { return a.at.Compare(b.at) }).at
}

// isAnswer reports whether err is the result of a call, and not its failure.
func isAnswer(err error) bool {
	for _, answer := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrClosed, store.ErrCorrupt, store.ErrInvalid} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// settled runs a method on one entry, or a claim if id is "", after settle.
func settled[T any](ctx context.Context, s *Store, op, id string, invalid error, f func() (T, error)) (T, error) {
	return call(ctx, &s.calls, op, id, invalid, func() (result T, err error) {
		if err = s.settle(ctx, id); err != nil {
			return result, err
		}
		return f()
	})
}

// settle returns when each earlier write of the entry without a reply has
// taken effect or never will. Calls for other entries do not wait: a caller that
// gives up must not delay the other callers. settle gives up settleLimit after
// the write, for example if the server does not notice that a connection has
// ended. Behind a pooler, settle cannot be sure: it waits at least poolerLag,
// and until no write of the store is in progress that had begun by then.
func (s *Store) settle(ctx context.Context, id string) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		open := s.doubts.about(id)
		if len(open) == 0 {
			return nil
		}
		working, err := s.working(ctx, open)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case strings.HasPrefix(sqlState(err), "42"): // the server does not show its sessions
		case err != nil:
			return fmt.Errorf("after a write without a reply: %w", err)
		}
		if !working && (!s.pooled || time.Since(latest(open)) >= poolerLag) {
			s.doubts.remove(open)
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

const (
	// sessionsSQL selects whether one of the sessions $2 exists that began more
	// than $1 seconds ago. A session ends after the statement that it executes.
	// After a restart of the server, other sessions can have these numbers. The
	// server may hide when the session of another role began. Such a session
	// counts.
	sessionsSQL = `SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
	WHERE pid = ANY ($2::integer[]) AND coalesce(backend_start <= clock_timestamp() - make_interval(secs => $1::float8), true))`

	// writesSQL is for a pooler, which hides the sessions. writesSQL selects
	// whether another session executes one of the statements $2 and began it
	// more than $1 seconds ago. $1 can be negative. The server shows only the
	// beginning of statements. A session that waits for a lock does not count: pgx cancels a
	// statement without a reply.
	writesSQL = `SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
	WHERE datname = current_database() AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_catalog.pg_backend_pid()
	AND query_start <= clock_timestamp() - make_interval(secs => $1::float8)
	AND EXISTS (SELECT FROM unnest($2::text[]) AS write WHERE query <> '' AND starts_with(write, query)))`
)

// working reports whether a session may still execute one of the writes.
func (s *Store) working(ctx context.Context, open []*doubt) (yes bool, err error) {
	pids := make([]int32, len(open))
	for i, one := range open {
		pids[i] = one.pid
	}
	age, sql, which := time.Since(latest(open)), sessionsSQL, any(pids)
	if s.pooled {
		age -= poolerLag // the write may still have been on its way to the server
		sql, which = writesSQL, []string{s.sql.insert, s.sql.replace, s.sql.delete, s.sql.claim}
	}
	on := pgxConn{s.pool, s.mode}
	found, err := on.query(ctx, sql, age.Seconds(), which)
	if err != nil {
		return false, err
	}
	defer found.close()
	for found.Next() {
		if err := found.Scan(&yes); err != nil {
			return false, err
		}
	}
	return yes, found.Err()
}
