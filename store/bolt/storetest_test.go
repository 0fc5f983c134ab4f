package bolt

import (
	"bytes"
	"fmt"
	"os"
	"testing"

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

// The file of a sealed store contains no readable part of an entry.
func TestSealedFileShowsNothing(t *testing.T) {
	const secret = "PLANTED-SECRET"
	path := newPath(t)
	inner := open(t, path)
	s, err := store.Seal(t.Context(), inner, store.SealOptions{
		IDKey: bytes.Repeat([]byte{1}, 32), Keys: map[string][]byte{"key-1": bytes.Repeat([]byte{2}, 32)}, Active: "key-1",
	})
	must(t, err)
	put(t, inner, store.Entry{ID: "plain", Body: []byte("seen-" + secret)})
	for i := range 50 {
		id := fmt.Sprintf("%s-%d", secret, i)
		version, err := s.Put(t.Context(), store.Entry{ID: id, Due: at(1), Body: []byte("body " + secret)})
		must(t, err)
		if i%2 == 0 {
			must(t, s.Delete(t.Context(), id, version))
		}
	}
	must(t, s.Close())
	content, err := os.ReadFile(path)
	must(t, err)
	if seen, planted := bytes.Count(content, []byte("seen-"+secret)), bytes.Count(content, []byte(secret)); seen == 0 || planted != seen {
		t.Errorf("the file has the secret %d times, %d of them in the entry that isn't sealed, want it there and nowhere else", planted, seen)
	}
}

func FuzzStore(f *testing.F) { storetest.Fuzz(f, harness()) }
