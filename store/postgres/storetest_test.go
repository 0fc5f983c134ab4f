package postgres_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
		Flap:     func(t *testing.T, s store.Store) { s.(handle).lines.flap() },
		Lose: func(t *testing.T, s store.Store, meanwhile func()) {
			warm(t, s)
			s.(handle).lines.loseReply(meanwhile)
		},
		Corrupt: func(t *testing.T, s store.Store, id string) {
			exec(t, `UPDATE `+s.(handle).place.entries()+` SET body = body || '\x00' WHERE id = $1`, id)
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, harness(true, newPlace))
}

// TestConformanceSealed runs the suite on sealed stores.
func TestConformanceSealed(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Sealed(harness(true, newPlace)))
}

// TestSealedDumpShowsNothing copies the table in binary form, as a dump
// contains it, and searches it for the contents of sealed entries.
func TestSealedDumpShowsNothing(t *testing.T) {
	t.Parallel()
	const secret = "PLANTED-SECRET"
	inner := open(t, newPlace(t))
	s, err := store.Seal(t.Context(), inner.Store, sealWith(newKey, newKey))
	if err != nil {
		t.Fatal(err)
	}
	put(t, inner, store.Entry{ID: "plain", Body: []byte("seen-" + secret)})
	for i := range 50 {
		put(t, s, store.Entry{ID: fmt.Sprintf("%s-%d", secret, i), Due: at(1), Body: []byte("body " + secret)})
	}
	var dump bytes.Buffer
	if _, err := connect(t, inner.place).PgConn().CopyTo(t.Context(), &dump, `COPY `+inner.place.entries()+` TO STDOUT (FORMAT binary)`); err != nil {
		t.Fatal(err)
	}
	if seen, planted := bytes.Count(dump.Bytes(), []byte("seen-"+secret)), bytes.Count(dump.Bytes(), []byte(secret)); seen != 1 || planted != 1 {
		t.Errorf("the dump has the secret %d times, %d of them in the entry that is not sealed, want it there and nowhere else", planted, seen)
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
