package postgres_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/internal/planted"
	"github.com/latchkey-go/latchkey/internal/postgrestest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/postgres"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// harness runs the suite on stores of one server, each in a schema of its own.
// Stores behind a pooler do not support Watch.
func harness(notifies bool, newPlace func(t testing.TB) place, change ...func(*pgxpool.Config)) storetest.Harness {
	return storetest.Harness{
		Features: storetest.Features{Durable: true, Shared: true, Ordered: true, Pager: true, Counter: true, Notifier: notifies},
		Open:     func(t *testing.T) store.Store { return open(t, newPlace(t), change...) },
		Reopen:   func(t *testing.T, s store.Store) store.Store { return open(t, s.(handle).place, change...) },
		Peer:     func(t *testing.T, s store.Store) store.Store { return open(t, s.(handle).place, change...) },
		Break:    func(t *testing.T, s store.Store) { s.(handle).lines.cut() },
		Flap: func(t *testing.T, s store.Store) {
			if _, err := s.Get(t.Context(), "absent"); !errors.Is(err, store.ErrNotFound) { // settles an earlier write
				t.Fatal(err)
			}
			if h := s.(handle); h.place.url == h.place.direct {
				warm(t, s) // the next request is not one that prepares a statement
			}
			s.(handle).lines.flap()
		},
		Lose: func(t *testing.T, s store.Store, meanwhile func()) {
			warm(t, s)
			s.(handle).lines.loseReply(meanwhile)
		},
		Corrupt: func(t *testing.T, s store.Store, id string) {
			sql := `UPDATE ` + s.(handle).place.entries() + ` SET body = body || '\x00' WHERE id = $1`
			if _, err := s.(handle).pool.Exec(t.Context(), sql, id); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// TestConformance runs the suite on a server of its own. A store that is opened
// again finds a server that has crashed, except within long random runs.
func TestConformance(t *testing.T) {
	t.Parallel()
	s := postgrestest.Start(t)
	h := harness(true, func(t testing.TB) place {
		t.Helper()
		pool, err := pgxpool.New(t.Context(), s.URL(""))
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		return placeAt(t, pool, s.URL(""))
	})
	reopen := h.Reopen
	h.Reopen = func(t *testing.T, closed store.Store) store.Store {
		if !strings.Contains(t.Name(), "/Model/") {
			s.Crash(t)
		}
		return reopen(t, closed)
	}
	storetest.Run(t, h)
}

// TestConformanceSealed runs the suite on sealed stores.
func TestConformanceSealed(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Sealed(harness(true, newPlace)))
}

// TestSealedDumpShowsNothing searches dumps for secrets that hubs store: the
// table in binary form, and the output of pg_dump, which has bodies in
// hexadecimal. The dumps of a sealed store have none of them. The dumps of
// another store have all of them.
func TestSealedDumpShowsNothing(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{true, false} {
		inner := open(t, newPlace(t))
		s := store.Store(inner)
		if sealed {
			var err error
			if s, err = store.Seal(t.Context(), inner.Store, sealWith(newKey, newKey)); err != nil {
				t.Fatal(err)
			}
		}
		secrets := planted.In(t, s)
		var dump bytes.Buffer
		if _, err := connect(t, inner.place).PgConn().CopyTo(t.Context(), &dump, `COPY `+inner.place.entries()+` TO STDOUT (FORMAT binary)`); err != nil {
			t.Fatal(err)
		}
		secrets.Check(t, dump.Bytes(), sealed)
		secrets.Check(t, server.Server(t).Dump(t, inner.place.schema), sealed)
	}
}

// TestConformanceBehindPgBouncer runs the suite through PgBouncer in
// transaction mode, where each transaction may be in another session.
func TestConformanceBehindPgBouncer(t *testing.T) {
	t.Parallel()
	bouncer := server.Server(t).Bouncer(t)
	storetest.Run(t, harness(false, func(t testing.TB) place {
		t.Helper()
		p := newPlace(t)
		p.url = bouncer.URL("")
		return p
	}))
}

func FuzzStore(f *testing.F) { storetest.Fuzz(f, harness(true, newPlace)) }

// TestEveryProtocol uses the store in each mode in which pgx sends statements.
func TestEveryProtocol(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, newPlace(t), func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			e := put(t, s, store.Entry{ID: "entry", Due: at(1), Body: []byte("inserted\x00")})
			e.Body = nil
			e = put(t, s, e)
			claimed, err := s.Claim(t.Context(), at(1), at(9), 3)
			if err != nil || len(claimed) != 1 || len(claimed[0].Body) != 0 || !claimed[0].Due.Equal(at(9)) {
				t.Fatalf("Claim: got %v and %v, want the entry", claimed, err)
			}
			if got := list(t, s); len(got) != 1 || got[0].Version != claimed[0].Version {
				t.Errorf("List: got %v, want the entry as claimed", got)
			}
			if err := s.Delete(t.Context(), e.ID, claimed[0].Version); err != nil {
				t.Errorf("Delete: got %v, want nil", err)
			}
		})
	}
}

var (
	_ store.Store    = (*postgres.Store)(nil)
	_ store.Pager    = (*postgres.Store)(nil)
	_ store.Counter  = (*postgres.Store)(nil)
	_ store.Notifier = (*postgres.Store)(nil)
)
