package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// newPath returns the path for a test's file. When the test has ended and the file
// is closed, bbolt's own check runs on it.
func newPath(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	t.Cleanup(func() { checkFile(t, path) })
	return path
}

// checkFile runs bbolt's consistency check.
func checkFile(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Errorf("opening the file to check it: %v", err)
		return
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		var errs []error
		for err := range tx.Check() {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Errorf("bbolt finds its file damaged: %v", err)
	}
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, path string) *Store {
	t.Helper()
	return openWith(t, path, Options{})
}

func openWith(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// at returns the time ms milliseconds after a fixed time.
func at(ms int64) time.Time { return time.UnixMilli(1_800_000_000_000 + ms).UTC() }

func ids(entries []store.Entry) (ids []string) {
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

func put(t testing.TB, s store.Store, e store.Entry) store.Entry {
	t.Helper()
	version, err := s.Put(t.Context(), e)
	if err != nil {
		t.Fatalf("Put of %s: %v", e.ID, err)
	}
	e.Version = version
	return e
}

// damage flips a bit of the stored data of an entry.
func damage(t *testing.T, s *Store, id string) {
	t.Helper()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(entryBucket)
		v := slices.Clone(b.Get([]byte(id)))
		v[len(v)-1] ^= 1
		return b.Put([]byte(id), v)
	})
	if err != nil {
		t.Fatalf("damaging an entry: %v", err)
	}
}
