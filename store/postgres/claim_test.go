package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// TestClaimOfWhatIsLocked claims while another transaction holds the only due
// entry. The claim must not report that nothing is due. The claim must wait,
// and then answer according to the state that the other transaction left.
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
			s := open(t, newPlace(t))
			e := put(t, s, store.Entry{ID: "entry", Due: at(1), Body: []byte("body")})
			other := connect(t, s.place)
			if _, err := other.Exec(t.Context(), "SET search_path = "+s.place.schema+"; BEGIN; "+test.begin); err != nil {
				t.Fatal(err)
			}
			watch, locker := connect(t, s.place), other.PgConn().PID()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a claim that does not wait would loop
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

// TestClaimPassesLocksOver claims free entries although the oldest one is
// locked.
func TestClaimPassesLocksOver(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	put(t, s, store.Entry{ID: "locked", Due: at(1)})
	put(t, s, store.Entry{ID: "free", Due: at(2)})
	other := connect(t, s.place)
	if _, err := other.Exec(t.Context(), "BEGIN; SELECT FROM "+s.place.entries()+" WHERE id = 'locked' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a claim that waits would wait forever
	defer cancel()
	got, err := s.Claim(ctx, at(5), at(100), 3)
	if err != nil || len(got) != 1 || got[0].ID != "free" {
		t.Errorf("Claim beside a lock: got %v and %v, want the free entry", got, err)
	}
}

// TestEmptyClaimWritesNothing reads PostgreSQL's hidden columns of the rows. A
// row that was locked or written contains the transaction's number.
func TestEmptyClaimWritesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	put(t, s, store.Entry{ID: "later", Due: at(10)})
	put(t, s, store.Entry{ID: "never"})
	rows := func() (all string) {
		if err := connect(t, s.place).QueryRow(t.Context(), `SELECT string_agg(concat_ws(' ', id, ctid, xmin, xmax), ', ' ORDER BY id) FROM `+s.place.entries()).Scan(&all); err != nil {
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
	// The comparison notices a claim that takes an entry:
	if _, err := s.Claim(t.Context(), at(10), at(100), 3); err != nil {
		t.Fatal(err)
	}
	if after := rows(); after == before {
		t.Errorf("rows after a claim: got those before, want others")
	}
}

// TestClaimStopsNearItsSize checks that an answer ends before it exceeds
// MaxClaim.
func TestClaimStopsNearItsSize(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
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

// TestLargeDamage makes another program write a body that is larger than a
// result may be.
func TestLargeDamage(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	put(t, s, store.Entry{ID: "a", Due: at(1)})
	put(t, s, store.Entry{ID: "b", Due: at(2)})
	exec(t, `UPDATE `+s.place.entries()+` SET body = decode(repeat('00', 9 << 20), 'hex') WHERE id = 'a'`)
	if got, err := s.Claim(t.Context(), at(5), at(100), 9); !errors.Is(err, store.ErrCorrupt) || len(got) != 0 {
		t.Errorf("Claim of a damaged entry: got %d entries and %v, want ErrCorrupt", len(got), err)
	}
	if got, err := s.Claim(t.Context(), at(5), at(100), 9); err != nil || len(got) != 1 || got[0].ID != "b" {
		t.Errorf("Claim of the other entry: got %d entries and %v, want it", len(got), err)
	}
	var got []string
	for e, err := range s.List(t.Context()) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			got = append(got, "damaged")
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, e.ID)
		}
	}
	if fmt.Sprint(got) != "[damaged b]" {
		t.Errorf("List with a damaged entry on a page of its own: got %v, want [damaged b]", got)
	}
}

// TestClaimLooksAgain claims while a transaction of the application locks the
// only due entry for the duration of the test. An entry that becomes due
// meanwhile is claimed.
func TestClaimLooksAgain(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	put(t, s, store.Entry{ID: "locked", Due: at(1)})
	other := connect(t, s.place)
	if _, err := other.Exec(t.Context(), "BEGIN; SELECT FROM "+s.place.entries()+" FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // without a second look, the claim waits forever
	defer cancel()
	claimed := make(chan []store.Entry, 1)
	go func() {
		got, err := s.Claim(ctx, at(5), at(100), 3)
		if err != nil {
			t.Errorf("Claim: got %v, want nil", err)
		}
		claimed <- got
	}()
	waitForBlocked(t, s.place, other.PgConn().PID())
	put(t, s, store.Entry{ID: "free", Due: at(2)})
	if got := <-claimed; len(got) != 1 || got[0].ID != "free" {
		t.Errorf("Claim while one entry is locked and another becomes due: got %v, want the other", got)
	}
}

// waitForBlocked waits until another session waits for a lock of this one.
func waitForBlocked(t *testing.T, p place, locker uint32) {
	t.Helper()
	for watch, blocked := connect(t, p), false; !blocked; {
		if err := watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE $1 = ANY (pg_blocking_pids(pid)))`, locker).Scan(&blocked); err != nil {
			t.Fatal(err)
		}
	}
}
