package bolt

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/latchkey-go/latchkey/internal/planted"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/storetest"
	"go.etcd.io/bbolt"
)

func harness() storetest.Harness { return harnessWith(Options{}) }

func harnessWith(o Options) storetest.Harness {
	return storetest.Harness{
		Features: storetest.Features{Durable: true, Ordered: true, Pager: true, Counter: true, Notifier: true},
		Open: func(t *testing.T) store.Store {
			s, err := Open(t.Context(), newPath(t), o)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return s
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			again, err := Open(t.Context(), s.(*Store).path, o)
			if err != nil {
				t.Fatalf("Open after Close: %v", err)
			}
			return again
		},
		// The database is closed below the store, as if its file could not be
		// mapped again.
		Break: func(t *testing.T, s store.Store) {
			if err := s.(*Store).db.Close(); err != nil {
				t.Fatalf("closing the database: %v", err)
			}
		},
		Corrupt: func(t *testing.T, s store.Store, id string) {
			err := s.(*Store).db.Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket(entryBucket)
				v := append([]byte(nil), b.Get([]byte(id))...)
				v[len(v)-1] ^= 1
				return b.Put([]byte(id), v)
			})
			if err != nil {
				t.Fatalf("damaging an entry: %v", err)
			}
		},
	}
}

func TestConformance(t *testing.T) { storetest.Run(t, harness()) }

func TestConformanceSealed(t *testing.T) {
	storetest.Run(t, storetest.Sealed(harnessWith(Options{NoSyncForTests: true})))
}

// TestSealedFileShowsNothing searches files for secrets that hubs store, and
// for the bodies of deleted entries. The file of a sealed store has none of
// them. The file of an unsealed store has all of them.
func TestSealedFileShowsNothing(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		path := newPath(t)
		s := store.Store(open(t, path))
		if sealed {
			var err error
			s, err = store.Seal(t.Context(), s, store.SealOptions{
				IDKey: bytes.Repeat([]byte{1}, 32), Keys: map[string][]byte{"key-1": bytes.Repeat([]byte{2}, 32)}, Active: "key-1",
			})
			must(t, err)
		}
		secrets := planted.In(t, s)
		secrets["deleted body"] = []byte("PLANTED-BODY")
		for i := range 50 {
			e := put(t, s, store.Entry{ID: fmt.Sprint("deleted-", i), Due: at(1), Body: secrets["deleted body"]})
			if i%2 == 0 {
				must(t, s.Delete(t.Context(), e.ID, e.Version))
			}
		}
		must(t, s.Close())
		content, err := os.ReadFile(path)
		must(t, err)
		secrets.Check(t, content, sealed)
	}
}

func FuzzStore(f *testing.F) { storetest.Fuzz(f, harness()) }
