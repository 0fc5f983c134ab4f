package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/latchkey-go/latchkey/store"
)

// transaction is a transaction of the application, with pgx or database/sql.
type transaction struct {
	store    store.Store
	exec     func(sql string) error
	commit   func() error
	rollback func() error
}

// begin begins a transaction on the pool of the store.
type begin func(t testing.TB, s handle) transaction

func beginPgx(t testing.TB, s handle) transaction {
	t.Helper()
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return transaction{
		s.Tx(tx), func(sql string) error {
			_, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
			return err
		},
		func() error { return tx.Commit(t.Context()) }, func() error { return tx.Rollback(t.Context()) },
	}
}

func beginSQL(t testing.TB, s handle) transaction {
	t.Helper()
	tx, err := database(t, s).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return transaction{
		s.SQLTx(tx), func(sql string) error { _, err := tx.ExecContext(t.Context(), sql); return err },
		tx.Commit, tx.Rollback,
	}
}

func database(t testing.TB, s handle) *sql.DB {
	db := stdlib.OpenDBFromPool(s.pool)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// inTransactions runs a test with each kind of transaction, and behind
// PgBouncer.
func inTransactions(t *testing.T, test func(t *testing.T, s handle, begin begin)) {
	t.Helper()
	kinds := map[string]begin{"pgx": beginPgx, "database_sql": beginSQL}
	for name, begin := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, newPlace(t))
			exec(t, "CREATE TABLE "+s.place.schema+".app (id text PRIMARY KEY)")
			test(t, s, begin)
		})
		t.Run(name+"_pgbouncer", func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.url = server.Server(t).Bouncer(t).URL("")
			s := open(t, p, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe })
			exec(t, "CREATE TABLE "+s.place.schema+".app (id text PRIMARY KEY)")
			test(t, s, begin)
		})
	}
}

func (s handle) row(id string) string {
	return fmt.Sprintf("INSERT INTO %s.app VALUES ('%s')", s.place.schema, id)
}

func (s handle) hasRow(t testing.TB, id string) (has bool) {
	t.Helper()
	if err := adminPool(t).QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM "+s.place.schema+".app WHERE id = $1)", id).Scan(&has); err != nil {
		t.Fatal(err)
	}
	return has
}

// TestTxCommitsAndRollsBack writes entries and rows of the application in one
// transaction. Before the transaction ends, other callers see neither;
// afterwards they see both or neither.
func TestTxCommitsAndRollsBack(t *testing.T) {
	t.Parallel()
	inTransactions(t, func(t *testing.T, s handle, begin begin) {
		replaced := put(t, s, store.Entry{ID: "replaced", Body: []byte("before")})
		deleted := put(t, s, store.Entry{ID: "deleted"})
		for _, commits := range []bool{false, true} {
			tx := begin(t, s)
			if err := tx.exec(s.row("row")); err != nil {
				t.Fatal(err)
			}
			put(t, tx.store, store.Entry{ID: "inserted", Due: at(1)})
			changed := replaced
			changed.Body = []byte("after")
			changed = put(t, tx.store, changed)
			if err := tx.store.Delete(t.Context(), deleted.ID, deleted.Version); err != nil {
				t.Fatal(err)
			}
			if got, err := tx.store.Get(t.Context(), "replaced"); err != nil || got.Version != changed.Version || string(got.Body) != "after" {
				t.Errorf("Get within the transaction: got %+v and %v, want what it has put", got, err)
			}
			if got := list(t, tx.store); len(got) != 2 {
				t.Errorf("List within the transaction: got %d entries, want 2", len(got))
			}
			if got := list(t, s); len(got) != 2 || s.hasRow(t, "row") {
				t.Errorf("before the end: got entries %v and the row %t, want those of before", got, s.hasRow(t, "row"))
			}
			end := tx.rollback
			if commits {
				end = tx.commit
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(t.Context(), "replaced")
			if want := map[bool]string{false: "before", true: "after"}[commits]; err != nil || string(got.Body) != want {
				t.Errorf("after the end, committed %t: got body %q and %v, want %q", commits, got.Body, err, want)
			}
			_, err = s.Get(t.Context(), "inserted")
			if there := err == nil; there != commits || s.hasRow(t, "row") != commits {
				t.Errorf("after the end, committed %t: got the entry %t and the row %t, want both %[1]t", commits, there, s.hasRow(t, "row"))
			}
			if _, err := s.Get(t.Context(), "deleted"); (err != nil) != commits {
				t.Errorf("after the end, committed %t: got %v of what was deleted", commits, err)
			}
		}
	})
}

// TestTxIsUsableAfterAnswers makes each error of the contract occur within a
// transaction, which then still commits.
func TestTxIsUsableAfterAnswers(t *testing.T) {
	t.Parallel()
	inTransactions(t, func(t *testing.T, s handle, begin begin) {
		e := put(t, s, store.Entry{ID: "entry", Body: []byte("body")})
		damaged := put(t, s, store.Entry{ID: "damaged", Body: []byte("body")})
		exec(t, `UPDATE `+s.place.entries()+` SET body = body || '\x00' WHERE id = $1`, damaged.ID)
		tx := begin(t, s)
		stale := e
		stale.Version++
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range map[string]struct {
			want error
			do   func() error
		}{
			"an insert of what is there": {store.ErrExists, func() error { _, err := tx.store.Put(t.Context(), store.Entry{ID: e.ID}); return err }},
			"a Put at a stale version":   {store.ErrConflict, func() error { _, err := tx.store.Put(t.Context(), stale); return err }},
			"a Put of what is absent": {store.ErrConflict, func() error {
				_, err := tx.store.Put(t.Context(), store.Entry{ID: "absent", Version: 7})
				return err
			}},
			"a Delete at a stale version": {store.ErrConflict, func() error { return tx.store.Delete(t.Context(), e.ID, stale.Version) }},
			"a Get of what is absent":     {store.ErrNotFound, func() error { _, err := tx.store.Get(t.Context(), "absent"); return err }},
			"a Get of what is damaged":    {store.ErrCorrupt, func() error { _, err := tx.store.Get(t.Context(), damaged.ID); return err }},
			"an invalid ID":               {store.ErrInvalid, func() error { _, err := tx.store.Get(t.Context(), "a b"); return err }},
			"a Claim":                     {store.ErrInvalid, func() error { _, err := tx.store.Claim(t.Context(), at(1), at(2), 1); return err }},
			"a context that has ended":    {context.Canceled, func() error { _, err := tx.store.Get(ended, e.ID); return err }},
		} {
			err := call.do()
			if !errors.Is(err, call.want) {
				t.Errorf("%s: got %v, want %v", name, err, call.want)
			}
			if _, ok := errors.AsType[*store.Error](err); !ok {
				t.Errorf("%s: got %T, want a *store.Error", name, err)
			}
		}
		if err := tx.store.Delete(t.Context(), "absent", 7); err != nil {
			t.Errorf("Delete of what is absent: got %v, want nil", err)
		}
		if err := tx.exec(s.row("row")); err != nil {
			t.Errorf("the application's row: got %v, want nil: the transaction must be usable", err)
		}
		e = put(t, tx.store, e)
		if err := tx.store.Close(); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
		if _, err := tx.store.Get(t.Context(), e.ID); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Get after Close: got %v, want ErrClosed", err)
		}
		if err := tx.commit(); err != nil {
			t.Errorf("commit: got %v, want nil", err)
		}
		if got, err := s.Get(t.Context(), e.ID); err != nil || got.Version != e.Version || !s.hasRow(t, "row") {
			t.Errorf("after the commit: got version %d, %v and the row %t, want %d, nil and the row", got.Version, err, s.hasRow(t, "row"), e.Version)
		}
	})
}

// TestTxSeesCommits makes another caller write the entry that a transaction has
// read. The transaction learns of the conflict, reads the committed entry and
// continues.
func TestTxSeesCommits(t *testing.T) {
	t.Parallel()
	inTransactions(t, func(t *testing.T, s handle, begin begin) {
		put(t, s, store.Entry{ID: "entry", Body: []byte("first")})
		tx := begin(t, s)
		read, err := tx.store.Get(t.Context(), "entry")
		if err != nil {
			t.Fatal(err)
		}
		other := read
		other.Body = []byte("second")
		put(t, s, other)
		if _, err := tx.store.Put(t.Context(), read); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("Put of what another has changed: got %v, want ErrConflict", err)
		}
		read, err = tx.store.Get(t.Context(), "entry")
		if err != nil || string(read.Body) != "second" {
			t.Fatalf("Get after the conflict: got %q and %v, want what the other has committed", read.Body, err)
		}
		read.Body = []byte("third")
		read = put(t, tx.store, read)
		if err := tx.commit(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), "entry"); err != nil || got.Version != read.Version {
			t.Errorf("after the commit: got version %d and %v, want %d", got.Version, err, read.Version)
		}
	})
}

// TestTxByManyGoroutines uses one transaction from several goroutines.
func TestTxByManyGoroutines(t *testing.T) {
	t.Parallel()
	inTransactions(t, func(t *testing.T, s handle, begin begin) {
		tx := begin(t, s)
		const callers = 8
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				if _, err := tx.store.Put(t.Context(), store.Entry{ID: fmt.Sprintf("entry-%d", i)}); err != nil {
					t.Errorf("Put: got %v, want nil", err)
				}
			})
		}
		wg.Wait()
		if err := tx.commit(); err != nil {
			t.Fatal(err)
		}
		if got := len(list(t, s)); got != callers {
			t.Errorf("List: got %d entries, want %d", got, callers)
		}
	})
}

// TestTxNotifiesAtCommit listens as another process would. The notification of
// a rolled back transaction never comes.
func TestTxNotifiesAtCommit(t *testing.T) {
	t.Parallel()
	inTransactions(t, func(t *testing.T, s handle, begin begin) {
		listener := connect(t, s.place)
		if _, err := listener.Exec(t.Context(), "LISTEN "+s.Channel()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		back := begin(t, s)
		put(t, back.store, store.Entry{ID: "rolled-back", Due: time.Now()})
		if err := back.rollback(); err != nil {
			t.Fatal(err)
		}
		tx := begin(t, s)
		put(t, tx.store, store.Entry{ID: "committed", Due: time.Now()})
		put(t, tx.store, store.Entry{ID: "too", Due: time.Now()})
		// Notifications come in the order of the commits. If the notifications
		// of the transactions came too early, the marker would come after them.
		exec(t, "SELECT pg_notify($1, 'marker')", s.Channel())
		if err := tx.commit(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"marker", ""} {
			got, err := listener.WaitForNotification(ctx)
			if err != nil || got.Payload != want {
				t.Fatalf("notification: got %+v and %v, want payload %q", got, err, want)
			}
		}
	})
}
