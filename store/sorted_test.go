package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPagesOfAChangingStore inserts and deletes at random between pages. There
// are enough changes for the sorted lists to be rebuilt and to be dropped. The
// test compares every pass with the IDs in the store.
func TestPagesOfAChangingStore(t *testing.T) {
	m := newMemory()
	random := rand.New(rand.NewPCG(1, 2))
	there := make(map[string]uint64)
	for pass := range 60 {
		for range random.IntN(1500) {
			id := fmt.Sprintf("%04d", random.IntN(6000))
			version, known := there[id]
			switch {
			case !known:
				version, err := m.Put(t.Context(), Entry{ID: id})
				if err != nil {
					t.Fatal(err)
				}
				there[id] = version
			case pass%7 > 3 || random.IntN(2) == 0:
				if err := m.Delete(t.Context(), id, version); err != nil {
					t.Fatal(err)
				}
				delete(there, id)
			}
		}
		n := 1 + random.IntN(700)
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := m.Page(t.Context(), after, n)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				got = append(got, e.ID)
			}
		}
		want := make([]string, 0, len(there))
		for id := range there {
			want = append(want, id)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("pass %d: pages of %d have %d IDs, want the %d that are there, in order", pass, n, len(got), len(want))
		}
		if count, err := m.Count(t.Context()); err != nil || count != len(want) {
			t.Fatalf("pass %d: Count: got %d, %v, want %d", pass, count, err, len(want))
		}
	}
}

// Deleted entries take no memory in the lists of a store whose pages were read
// once, however many entries come and go later.
func TestSortedForgetsWhatIsGone(t *testing.T) {
	m := newMemory()
	if _, err := m.Page(t.Context(), "", 1); err != nil {
		t.Fatal(err)
	}
	for i := range 50_000 {
		id := fmt.Sprintf("%06d", i)
		version, err := m.Put(t.Context(), Entry{ID: id})
		if err == nil {
			err = m.Delete(t.Context(), id, version)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range m.shards {
		kept += len(m.shards[i].sorted.old) + len(m.shards[i].sorted.fresh)
	}
	if kept > memoryShards*200 {
		t.Errorf("the lists of an empty store have %d items, want no more than %d", kept, memoryShards*200)
	}
}
