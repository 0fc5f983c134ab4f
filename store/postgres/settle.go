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

// settleLimit is how long a call waits for earlier statements without an
// answer.
const settleLimit = 5 * time.Second

// poolerLag is how long a statement may take from its caller through a pooler
// to the server.
const poolerLag = 200 * time.Millisecond

// doubts are the statements without an answer: their connections ended first.
// The server may still execute such a statement, or sync it, when its caller
// makes the next call. The zero value has none.
type doubts struct {
	number atomic.Int64 // so that a call without doubts takes no lock

	mu  sync.Mutex
	all []*doubt
}

// doubt is one statement without an answer.
type doubt struct {
	pid int32 // of the server's process; with a pooler, the pooler's own number
	at  time.Time
}

// note adds a doubt if a statement has ended with err and without an answer.
func (d *doubts) note(on *pgxpool.Conn, err error) {
	if err == nil || !on.Conn().IsClosed() || pgconn.SafeToRetry(err) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, &doubt{int32(on.Conn().PgConn().PID()), time.Now()})
	d.number.Store(int64(len(d.all)))
}

// latest returns the time of the latest of some doubts.
func latest(open []*doubt) time.Time {
	return slices.MaxFunc(open, func(a, b *doubt) int { return a.at.Compare(b.at) }).at
}

// present returns the present doubts.
func (d *doubts) present() []*doubt {
	if d.number.Load() == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.all)
}

func (d *doubts) remove(some []*doubt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = slices.DeleteFunc(d.all, func(one *doubt) bool { return slices.Contains(some, one) })
	d.number.Store(int64(len(d.all)))
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

// settled runs one method of the store, after settle.
func settled[T any](ctx context.Context, s *Store, op, id string, invalid error, f func() (T, error)) (T, error) {
	return call(ctx, &s.calls, op, id, invalid, func() (result T, err error) {
		if err = s.settle(ctx); err != nil {
			return result, err
		}
		return f()
	})
}

// settle returns when each statement without an answer has taken effect or never
// will. settle gives up after settleLimit, for example if the server does not
// notice that a connection has ended. Behind a pooler, settle cannot be sure: it
// waits until no write of the store is in progress, and at least poolerLag.
func (s *Store) settle(ctx context.Context) error {
	open := s.doubts.present()
	if len(open) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		working, err := s.working(limited, open)
		if s.pooled && time.Since(latest(open)) < poolerLag {
			working = true
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limited.Err() != nil, strings.HasPrefix(sqlState(err), "42"): // the server does not show its sessions
			working = false
		case err != nil:
			return fmt.Errorf("after a statement without an answer: %w", err)
		}
		if !working {
			s.doubts.remove(open)
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-limited.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

const (
	// sessionsSQL selects whether one of the sessions $2 exists that began more
	// than $1 seconds ago. A session ends after the statement that it executes.
	// After a restart of the server, other sessions can have these numbers.
	sessionsSQL = `SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
	WHERE pid = ANY ($2::integer[]) AND backend_start <= clock_timestamp() - make_interval(secs => $1::float8))`

	// writesSQL is for a pooler, which hides the sessions. writesSQL selects
	// whether another session executes one of the statements $2 and began it
	// more than $1 seconds ago. The server shows only the beginning of
	// statements. A session that waits for a lock does not count: pgx cancels a
	// statement without an answer.
	writesSQL = `SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
	WHERE state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_catalog.pg_backend_pid()
	AND query_start <= clock_timestamp() - make_interval(secs => $1::float8)
	AND EXISTS (SELECT FROM unnest($2::text[]) AS write WHERE query <> '' AND left(write, length(query)) = query))`
)

// working reports whether a session may still execute one of the statements.
func (s *Store) working(ctx context.Context, open []*doubt) (yes bool, err error) {
	pids := make([]int32, len(open))
	for i, one := range open {
		pids[i] = one.pid
	}
	sql, which := sessionsSQL, any(pids)
	if s.pooled {
		sql, which = writesSQL, []string{s.sql.insert, s.sql.replace, s.sql.delete, s.sql.claim}
	}
	found, err := s.entries.conn.query(ctx, sql, time.Since(latest(open)).Seconds(), which)
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
