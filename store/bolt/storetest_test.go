package bolt

import (
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/storetest"
	"go.etcd.io/bbolt"
)

func harness() storetest.Harness {
	return storetest.Harness{
		Features: storetest.Features{Durable: true, Ordered: true, Pager: true, Counter: true, Notifier: true},
		Open: func(t *testing.T) store.Store {
			s, err := Open(t.Context(), newPath(t), Options{})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return s
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			again, err := Open(t.Context(), s.(*Store).path, Options{})
			if err != nil {
				t.Fatalf("Open after Close: %v", err)
			}
			return again
		},
		// The database goes away below the store, as when its file could not
		// be mapped again.
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

func FuzzStore(f *testing.F) { storetest.Fuzz(f, harness()) }
