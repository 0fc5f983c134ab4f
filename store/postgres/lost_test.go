package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
)

// TestLostReply: the server executes a write, and its reply is lost. pgx does
// not repeat the write, so the caller gets an error with an unknown outcome,
// and repeats the call.
func TestLostReply(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t), func(c *pgxpool.Config) { c.MaxConns = 1 })
	peer := open(t, s.place)
	e := store.Entry{ID: "entry", Due: at(1), Body: []byte("inserted")}
	get := func() store.Entry {
		t.Helper()
		got, err := peer.Get(t.Context(), e.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: got %v, want the entry or ErrNotFound", err)
		}
		return got
	}
	// lose makes a call whose reply gets lost, and checks whether the call took
	// place.
	lose := func(name string, call func() error) {
		t.Helper()
		warm(t, s) // each statement is prepared, so that its reply is the next one
		before, after := get(), store.Entry{Version: 1}
		s.lines.loseReply(func() { after = get() })
		err := call()
		if err == nil {
			t.Fatalf("%s whose reply was lost: got nil, want an error", name)
		}
		for _, answer := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrClosed, store.ErrCorrupt, store.ErrInvalid} {
			if errors.Is(err, answer) {
				t.Errorf("%s whose reply was lost: got %v, which is an answer", name, err)
			}
		}
		if after.Version == before.Version || after.Version == 1 {
			t.Fatalf("%s whose reply was lost: got version %d beside it and %d before, want that it took place", name, after.Version, before.Version)
		}
	}

	lose("an insert", func() error { _, err := s.Put(t.Context(), e); return err })
	if _, err := s.Put(t.Context(), e); !errors.Is(err, store.ErrExists) {
		t.Errorf("insert tried again: got %v, want ErrExists", err)
	}

	e = get()
	e.Body = []byte("replaced")
	lose("a Put", func() error { _, err := s.Put(t.Context(), e); return err })
	if _, err := s.Put(t.Context(), e); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Put tried again: got %v, want ErrConflict", err)
	}

	lose("a Claim", func() error { _, err := s.Claim(t.Context(), at(5), at(50), 9); return err })
	if got, err := s.Claim(t.Context(), at(49), at(90), 9); err != nil || len(got) != 0 {
		t.Errorf("Claim while the lost one is held: got %d entries and %v, want none", len(got), err)
	}
	if got, err := s.Claim(t.Context(), at(50), at(90), 9); err != nil || len(got) != 1 || string(got[0].Body) != "replaced" {
		t.Errorf("Claim when the lost one has lapsed: got %v and %v, want the entry", got, err)
	}

	e = get()
	lose("a Delete", func() error { return s.Delete(t.Context(), e.ID, e.Version) })
	if err := s.Delete(t.Context(), e.ID, e.Version); err != nil {
		t.Errorf("Delete tried again: got %v, want nil", err)
	}
}
