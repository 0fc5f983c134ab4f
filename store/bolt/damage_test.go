package bolt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// soaking reports whether tests run longer, as in make soak.
func soaking() bool { return os.Getenv("LATCHKEY_SOAK") != "" }

// newRandom returns a generator with a new seed, or with the seed in
// LATCHKEY_SEED to repeat a run.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("LATCHKEY_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		must(t, err)
	}
	t.Logf("LATCHKEY_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestDamagedAnywhere damages a file in random places and uses it. The process
// survives, and calls return only stored data or errors. If Check finds
// nothing, all data is unchanged.
func TestDamagedAnywhere(t *testing.T) {
	rounds := 50
	if soaking() {
		rounds = 5_000
	}
	content, entries := sample(t)
	random := newRandom(t)
	opened, unseen := 0, 0
	for range rounds {
		damaged := bytes.Clone(content)
		// The meta pages have a test of their own.
		at := 2*os.Getpagesize() + random.IntN(len(damaged)-2*os.Getpagesize())
		switch random.IntN(4) {
		case 0: // a bit
			damaged[at] ^= 1 << random.IntN(8)
		case 1: // a byte
			damaged[at] ^= byte(1 + random.IntN(255))
		case 2: // damage in the headers of a page, where it is most harmful
			at = at / os.Getpagesize() * os.Getpagesize()
			at = min(at+random.IntN(64), len(damaged)-1)
			damaged[at] ^= 1 << random.IntN(8)
		case 3: // one page has the content of another page
			size := os.Getpagesize()
			from := 2 + random.IntN(len(damaged)/size-2)
			copy(damaged[at/size*size:], damaged[from*size:(from+1)*size])
		}
		if bytes.Equal(damaged, content) {
			continue
		}
		path := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), path, Options{NoSyncForTests: true})
		if err != nil {
			wantDamage(t, "Open", err)
			continue
		}
		opened++
		if use(t, s, entries) {
			unseen++
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if t.Failed() {
			kept := filepath.Join(os.TempDir(), "latchkey-damaged.db")
			t.Fatalf("at byte %d; the file is kept as %s: %v", at, kept, os.WriteFile(kept, damaged, 0o600))
		}
	}
	t.Logf("%d of %d damaged files could be opened, in %d nothing that matters was damaged", opened, rounds, unseen)
}

func wantDamage(t *testing.T, op string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, ErrFormat) {
		t.Errorf("%s: expected ErrCorrupt, got %v", op, err)
	}
}

// use makes every kind of call, and reports whether Check found nothing.
func use(t *testing.T, s *Store, entries map[string]store.Entry) (sound bool) {
	t.Helper()
	err := s.Check(t.Context())
	if err != nil {
		wantDamage(t, "Check", err)
	}
	sound = err == nil
	same := func(op string, e store.Entry) {
		t.Helper()
		want, ok := entries[e.ID]
		if !ok || !bytes.Equal(e.Body, want.Body) {
			t.Errorf("%s: got an entry that was never stored: %q", op, e.ID)
		}
	}
	for id := range entries {
		e, err := s.Get(t.Context(), id)
		switch {
		case err == nil:
			same("Get", e)
		case sound:
			t.Errorf("Check found nothing, and Get failed: %v", err)
		case !errors.Is(err, store.ErrNotFound): // its key may be damaged
			wantDamage(t, "Get", err)
		}
	}
	n := 0
	for e, err := range s.List(t.Context()) {
		if err != nil {
			wantDamage(t, "List", err)
			break
		}
		same("List", e)
		if n++; n > 2*len(entries) {
			t.Error("List: it doesn't end")
			break
		}
	}
	if sound && n != len(entries) {
		t.Errorf("Check found nothing, and List yields %d entries of %d", n, len(entries))
	}
	claimed, err := s.Claim(t.Context(), at(1000), at(2000), 1000)
	if err != nil {
		wantDamage(t, "Claim", err)
	}
	if sound && len(claimed) != len(entries) {
		t.Errorf("Check found nothing, and Claim returns %d entries of %d", len(claimed), len(entries))
	}
	for i, e := range claimed {
		same("Claim", e)
		if i%16 != 0 {
			continue
		}
		// If an entry is in the file twice, its version may have changed.
		e.Version, err = s.Put(t.Context(), e)
		if err != nil && (sound || !errors.Is(err, store.ErrConflict)) {
			wantDamage(t, "Put", err)
		}
		if i%32 != 0 {
			continue
		}
		if err := s.Delete(t.Context(), e.ID, e.Version); err != nil && (sound || !errors.Is(err, store.ErrConflict)) {
			wantDamage(t, "Delete", err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		wantDamage(t, "Check", err)
		if sound {
			t.Error("Check found nothing, and finds something after a few writes")
		}
	}
	return sound
}

// TestDamagedMeta damages the newer of the two meta pages. bbolt treats this as
// a commit that a crash interrupted and uses the older page, so the last write
// is lost. The package comment and the documentation say that the damage cannot
// be distinguished from a crash.
func TestDamagedMeta(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	put(t, s, store.Entry{ID: "a"})
	put(t, s, store.Entry{ID: "b"})
	var last int
	must(t, s.db.View(func(tx *bbolt.Tx) error { last = tx.ID(); return nil }))
	must(t, s.Close())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{0xff}, int64(last%2*os.Getpagesize()+60))
	must(t, errors.Join(err, f.Close()))
	s = open(t, path)
	wantThere(t, s, "a", true)
	wantThere(t, s, "b", false)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

// TestCheckFinds makes one kind of damage at a time. The damage leaves bbolt's
// own structure intact.
func TestCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, entries, due *bbolt.Bucket)
		says   string
		get    error // of entry b
	}{
		"nothing": {func(*testing.T, *bbolt.Bucket, *bbolt.Bucket) {}, "", nil},
		"body": {func(t *testing.T, entries, _ *bbolt.Bucket) {
			v := bytes.Clone(entries.Get([]byte("b")))
			v[len(v)-1] ^= 1
			must(t, entries.Put([]byte("b"), v))
		}, "checksum", store.ErrCorrupt},
		"version": {func(t *testing.T, entries, _ *bbolt.Bucket) {
			v := bytes.Clone(entries.Get([]byte("b")))
			v[11] ^= 1
			must(t, entries.Put([]byte("b"), v))
		}, "checksum", store.ErrCorrupt},
		"cut short": {func(t *testing.T, entries, _ *bbolt.Bucket) {
			must(t, entries.Put([]byte("b"), entries.Get([]byte("b"))[:7]))
		}, "cut short", store.ErrCorrupt},
		"key": {func(t *testing.T, entries, _ *bbolt.Bucket) {
			v := bytes.Clone(entries.Get([]byte("b")))
			must(t, entries.Delete([]byte("b")))
			must(t, entries.Put([]byte("B"), v))
		}, "checksum", store.ErrNotFound}, // the same error as Get returns, until Check runs
		"lost from the index": {func(t *testing.T, _, due *bbolt.Bucket) {
			must(t, due.Delete(dueKey(at(2).UnixMilli(), "b")))
		}, "not in the index", nil},
		"moved in the index": {func(t *testing.T, _, due *bbolt.Bucket) {
			must(t, due.Put(dueKey(at(9).UnixMilli(), "b"), nil))
		}, "in the index with another due time", nil},
		"stranger in the index": {func(t *testing.T, _, due *bbolt.Bucket) {
			must(t, due.Put([]byte("x"), nil))
		}, "in the index with another due time", nil},
		"versions start again": {func(t *testing.T, entries, _ *bbolt.Bucket) {
			must(t, entries.SetSequence(1))
		}, "never given", nil},
		"a wrong count": {func(t *testing.T, _, due *bbolt.Bucket) {
			must(t, due.SetSequence(8))
		}, "counts 7 entries and has 3", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, newPath(t))
			for i, id := range []string{"a", "b", "c"} {
				put(t, s, store.Entry{ID: id, Due: at(int64(i + 1)), Body: []byte("body of " + id)})
			}
			must(t, s.db.Update(func(tx *bbolt.Tx) error {
				c.damage(t, tx.Bucket(entryBucket), tx.Bucket(dueBucket))
				return nil
			}))
			err := s.Check(t.Context())
			if c.says == "" {
				if err != nil {
					t.Errorf("expected nothing, got %v", err)
				}
				return
			}
			if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), s.path) {
				t.Errorf("expected ErrCorrupt with the path and %q, got %v", c.says, err)
			}
			if _, err := s.Get(t.Context(), "b"); !errors.Is(err, c.get) {
				t.Errorf("Get of b: expected %v, got %v", c.get, err)
			}
			// Other entries remain usable.
			claimed, err := s.Claim(t.Context(), at(10), at(20), 10)
			if err != nil {
				t.Errorf("Claim: %v", err)
			}
			got := slices.Sorted(slices.Values(ids(claimed)))
			if !slices.Contains(got, "a") || !slices.Contains(got, "c") || len(slices.Compact(got)) != len(claimed) {
				t.Errorf("Claim: expected a and c, and none twice, got %v", ids(claimed))
			}
		})
	}
}

func TestCheckStopsAtEnough(t *testing.T) {
	s := openWith(t, newPath(t), Options{NoSyncForTests: true})
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		for i := range 2 * maxFindings {
			must(t, tx.Bucket(dueBucket).Put(dueKey(int64(i+1), "x"), nil))
		}
		return nil
	}))
	err := s.Check(t.Context())
	if n := strings.Count(err.Error(), "in the index with another due time"); n != maxFindings || !errors.Is(err, errEnough) {
		t.Errorf("expected %d findings and that there may be more, got %d", maxFindings, n)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
