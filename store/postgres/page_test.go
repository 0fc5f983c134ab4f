package postgres_test

import (
	"fmt"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// TestCountOfMany uses more entries than Count counts exactly.
func TestCountOfMany(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	add := func(from, to int) {
		exec(t, fmt.Sprintf(`INSERT INTO %s (id, version, body, sum)
			SELECT 'entry-' || n, 1, '', 0 FROM generate_series(%d, %d) AS n`, s.place.entries(), from, to))
	}
	count := func() int {
		t.Helper()
		n, err := s.Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	add(1, 10_000)
	if got := count(); got != 10_000 {
		t.Errorf("Count: got %d, want exactly 10000", got)
	}
	add(10_001, 50_000)
	if got := count(); got < 10_001 {
		t.Errorf("Count before the table was analyzed: got %d, want more than 10000", got)
	}
	exec(t, "ANALYZE "+s.place.entries())
	if got := count(); got < 45_000 || got > 55_000 {
		t.Errorf("Count after the table was analyzed: got %d, want about 50000", got)
	}
}

// TestPageOfDamage: reading continues after a page in which all entries are
// damaged.
func TestPageOfDamage(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	for i := range 4 {
		put(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Body: []byte("body")})
	}
	exec(t, `UPDATE `+s.place.entries()+` SET sum = sum + 1 WHERE id < 'entry-3'`)
	got, err := s.Page(t.Context(), "", 2)
	if err == nil || len(got) != 1 || got[0].ID != "entry-3" {
		t.Errorf("Page of 2 behind damage: got %v and %v, want the one that can be read, and ErrCorrupt", got, err)
	}
}
