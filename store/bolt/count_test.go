package bolt

import (
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// A file of an earlier release without a count gets one with the first Count,
// and keeps it.
func TestCountOfAnOldFile(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	for _, id := range []string{"a", "b", "c"} {
		put(t, s, store.Entry{ID: id})
	}
	must(t, s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(dueBucket).SetSequence(0) }))
	put(t, s, store.Entry{ID: "d"}) // does not change an unknown count
	want := func(s *Store, want int) {
		t.Helper()
		if n, err := s.Count(t.Context()); err != nil || n != want {
			t.Errorf("Count: got %d, %v, want %d", n, err, want)
		}
	}
	want(s, 4)
	e, err := s.Get(t.Context(), "a")
	must(t, err)
	must(t, s.Delete(t.Context(), "a", e.Version))
	want(s, 3)
	must(t, s.Check(t.Context()))
	must(t, s.Close())
	want(open(t, path), 3)
}
