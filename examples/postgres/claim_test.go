package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-go/latchkey/store"
)

// at returns a time that is ms milliseconds after a fixed one.
func at(ms int64) time.Time { return time.UnixMilli(1_900_000_000_000 + ms).UTC() }

func put(t testing.TB, s store.Store, e store.Entry) store.Entry {
	t.Helper()
	var err error
	if e.Version, err = s.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func list(t testing.TB, s store.Store) (all []store.Entry) {
	t.Helper()
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// TestClaimOfWhatIsLocked claims while another transaction holds the only
// entry that is due. It may not say that nothing is: it has to wait, and then
// answer by what the other has left.
func TestClaimOfWhatIsLocked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, begin, end string
		want             int
	}{
		{"claimed and given back", "SELECT FROM latchkey_entries FOR UPDATE", "ROLLBACK", 1},
		{"locked and let go", "SELECT FROM latchkey_entries FOR UPDATE", "COMMIT", 1},
		{"put back as it was", "UPDATE latchkey_entries SET body = body", "COMMIT", 1},
		{"put as due later", "UPDATE latchkey_entries SET due = due + 1000", "COMMIT", 0},
		{"put in vain", "UPDATE latchkey_entries SET due = due + 1000", "ROLLBACK", 1},
		{"deleted", "DELETE FROM latchkey_entries", "COMMIT", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, schema(t, server.Server(t)))
			e := put(t, s, store.Entry{ID: "entry", Due: at(1), Body: []byte("body")})
			other := connect(t, s.url)
			if _, err := other.Exec(t.Context(), "BEGIN; "+test.begin); err != nil {
				t.Fatal(err)
			}
			watch, locker := connect(t, s.url), other.PgConn().PID()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // one that doesn't wait turns round and round
			defer cancel()
			claimed := make(chan []store.Entry, 1)
			go func() {
				got, err := s.Claim(ctx, at(5), at(100), 3)
				if err != nil {
					t.Errorf("Claim: got %v, want nil", err)
				}
				claimed <- got
			}()
			for waiting := false; !waiting; {
				select {
				case got := <-claimed:
					t.Fatalf("Claim while what is due is locked: got %d entries, want it to wait", len(got))
				default:
				}
				if err := watch.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
					WHERE $1 = ANY (pg_blocking_pids(pid)))`, locker).Scan(&waiting); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := other.Exec(t.Context(), test.end); err != nil {
				t.Fatal(err)
			}
			got := <-claimed
			if len(got) != test.want {
				t.Fatalf("Claim after the other's end: got %d entries, want %d", len(got), test.want)
			}
			for _, c := range got {
				if c.Version == e.Version || !c.Due.Equal(at(100)) || !bytes.Equal(c.Body, e.Body) {
					t.Errorf("Claim after the other's end: got version %d due %v, want a new one due %v, and its body", c.Version, c.Due, at(100))
				}
			}
		})
	}
}

// TestClaimPassesLocksOver claims what is free although the oldest is locked.
func TestClaimPassesLocksOver(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t, server.Server(t)))
	put(t, s, store.Entry{ID: "locked", Due: at(1)})
	put(t, s, store.Entry{ID: "free", Due: at(2)})
	other := connect(t, s.url)
	if _, err := other.Exec(t.Context(), "BEGIN; SELECT FROM latchkey_entries WHERE id = 'locked' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // one that waits would wait for ever
	defer cancel()
	got, err := s.Claim(ctx, at(5), at(100), 3)
	if err != nil || len(got) != 1 || got[0].ID != "free" {
		t.Errorf("Claim beside a lock: got %v and %v, want the free entry", got, err)
	}
}

// TestEmptyClaimWritesNothing looks at the rows as PostgreSQL keeps them: one
// that was locked or written bears the transaction's number.
func TestEmptyClaimWritesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t, server.Server(t)))
	put(t, s, store.Entry{ID: "later", Due: at(10)})
	put(t, s, store.Entry{ID: "never"})
	rows := func() (all string) {
		if err := connect(t, s.url).QueryRow(t.Context(), `SELECT string_agg(concat_ws(' ', id, ctid, xmin, xmax), ', ' ORDER BY id) FROM latchkey_entries`).Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := rows()
	for range 3 {
		if got, err := s.Claim(t.Context(), at(9), at(100), 3); err != nil || len(got) != 0 {
			t.Fatalf("Claim with nothing due: got %d entries and %v, want none", len(got), err)
		}
	}
	if after := rows(); after != before {
		t.Errorf("rows after claims of nothing: got %s, want %s", after, before)
	}
	// That this would show:
	if _, err := s.Claim(t.Context(), at(10), at(100), 3); err != nil {
		t.Fatal(err)
	}
	if after := rows(); after == before {
		t.Errorf("rows after a claim: got those before, want others")
	}
}

// TestClaimStopsNearItsSize has an answer end before it is over MaxClaim.
func TestClaimStopsNearItsSize(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t, server.Server(t)))
	sizes := []int{0, 3 << 20, 5 << 20, 1, store.MaxStored, store.MaxStored, 7}
	for i, size := range sizes {
		put(t, s, store.Entry{ID: string(rune('a' + i)), Due: at(int64(i)), Body: make([]byte, size)})
	}
	for _, want := range []string{"abc", "de", "fg", ""} {
		got, err := s.Claim(t.Context(), at(50), at(100), 100)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range got {
			ids = append(ids, e.ID)
		}
		if got := strings.Join(ids, ""); got != want {
			t.Errorf("Claim of bodies of %v bytes: got %q, want %q", sizes, got, want)
		}
	}
}

// TestLargeDamage has somebody else make a body larger than an answer may be.
func TestLargeDamage(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t, server.Server(t)))
	put(t, s, store.Entry{ID: "a", Due: at(1)})
	put(t, s, store.Entry{ID: "b", Due: at(2)})
	exec(t, s.url, `UPDATE latchkey_entries SET body = decode(repeat('00', 9 << 20), 'hex') WHERE id = 'a'`)
	if got, err := s.Claim(t.Context(), at(5), at(100), 9); !errors.Is(err, store.ErrCorrupt) || len(got) != 0 {
		t.Errorf("Claim of a damaged entry: got %d entries and %v, want ErrCorrupt", len(got), err)
	}
	if got, err := s.Claim(t.Context(), at(5), at(100), 9); err != nil || len(got) != 1 || got[0].ID != "b" {
		t.Errorf("Claim of the other entry: got %d entries and %v, want it", len(got), err)
	}
	var last error
	for e, err := range s.List(t.Context()) {
		if last = err; err == nil && e.ID != "b" {
			t.Errorf("List with a damaged entry: got %q, want ErrCorrupt in its place", e.ID)
		}
	}
	if !errors.Is(last, store.ErrCorrupt) {
		t.Errorf("List with a damaged entry: got %v at its end, want ErrCorrupt", last)
	}
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
