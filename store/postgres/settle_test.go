package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
)

// TestUnacknowledgedWriteIsSettled ends the context of a write that the server
// commits slowly. The next call for the entry, on another connection, returns the
// result of the write, unless the write never takes effect.
func TestUnacknowledgedWriteIsSettled(t *testing.T) {
	t.Parallel()
	testSettled(t, newPlace(t), func(*pgxpool.Config) {})
}

// TestHiddenSessionIsSettled: a role may not see when the session of another
// role began, here that of the role that has logged in.
func TestHiddenSessionIsSettled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	role := "blind_" + p.schema
	exec(t, "CREATE ROLE "+role)
	t.Cleanup(func() {
		if _, err := adminPool(t).Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	exec(t, "GRANT USAGE ON SCHEMA "+p.schema+" TO "+role)
	exec(t, "GRANT ALL ON ALL TABLES IN SCHEMA "+p.schema+" TO "+role)
	testSettled(t, p, func(c *pgxpool.Config) {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SET ROLE "+role)
			return err
		}
	})
}

func testSettled(t *testing.T, p place, change func(*pgxpool.Config)) {
	t.Helper()
	s := open(t, p, func(c *pgxpool.Config) { // each commit takes a tenth of a second, as on a slow disk
		c.ConnConfig.RuntimeParams["commit_delay"] = "100000" // microseconds
		c.ConnConfig.RuntimeParams["commit_siblings"] = "0"
		change(c)
	})
	get := func(id string) (version uint64) {
		t.Helper()
		e, err := s.Get(t.Context(), id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return e.Version
	}
	for name, write := range map[string]func(ctx context.Context, e store.Entry) error{
		"put":    func(ctx context.Context, e store.Entry) error { _, err := s.Put(ctx, e); return err },
		"delete": func(ctx context.Context, e store.Entry) error { return s.Delete(ctx, e.ID, e.Version) },
		"claim":  func(ctx context.Context, _ store.Entry) error { _, err := s.Claim(ctx, at(1), at(1000), 1); return err },
	} {
		e := put(t, s, store.Entry{ID: name, Due: at(1)})
		twoConnections(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		s.lines.afterNext(cancel)
		if err := write(ctx, e); err != nil && !errors.Is(err, context.Canceled) { // nil: the process was slower than the server
			t.Fatalf("%s whose context ends: got %v, want context.Canceled", name, err)
		}
		if name == "claim" { // the next claim of the caller waits, and calls for an entry do not
			if _, err := s.Claim(t.Context(), at(-2), at(-1), 1); err != nil {
				t.Fatal(err)
			}
		}
		seen := get(e.ID)
		put(t, s, store.Entry{ID: name + "-later"}) // its commit takes as long
		got := get(e.ID)
		if got != seen {
			t.Errorf("%s whose context has ended: Get returned version %d, and later version %d, want the same", name, seen, got)
		}
		if got != 0 {
			if err := s.Delete(t.Context(), e.ID, got); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// twoConnections makes the pool have two connections that know the statements.
func twoConnections(t *testing.T, s handle) {
	t.Helper()
	warm(t, s)
	first, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	warm(t, s)
}
