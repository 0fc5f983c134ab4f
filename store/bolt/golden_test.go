package bolt

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

var update = flag.Bool("update", false, "write testdata/v1.db anew: only when a release changes the format on purpose, and then under a new name")

const golden = "testdata/v1.db"

// goldenEntries returns the entries of the golden file, with their versions.
// The file had one more entry, at version 7, which was deleted.
func goldenEntries() []store.Entry {
	return []store.Entry{
		{ID: "due", Version: 2, Due: at(1), Body: []byte("replaced once")},
		{ID: "never", Version: 3, Body: []byte("without a due time")},
		{ID: "empty", Version: 4, Due: at(2)},
		{ID: "large", Version: 5, Due: at(3), Body: bytes.Repeat([]byte("pages that overflow "), 500)},
		{ID: "0AZaz9-_.", Version: 6, Due: at(0), Body: []byte{0, 0xff}},
	}
}

func writeGolden(t *testing.T) {
	must(t, os.MkdirAll(filepath.Dir(golden), 0o777))
	must(t, os.RemoveAll(golden))
	s := openWith(t, golden, Options{Mode: 0o644})
	put(t, s, store.Entry{ID: "due", Due: at(9), Body: []byte("first")})
	for i, e := range goldenEntries() {
		e.Version = 0
		if i == 0 {
			e.Version = 1
		}
		put(t, s, e)
	}
	gone := put(t, s, store.Entry{ID: "gone", Due: at(4)})
	must(t, s.Delete(t.Context(), gone.ID, gone.Version))
	must(t, s.Close())
}

// TestGolden reads the file of the first release. The entries must stay
// readable, and the file's versions must not repeat.
func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	content, err := os.ReadFile(golden)
	must(t, err)
	path := newPath(t)
	must(t, os.WriteFile(path, content, 0o600))
	s := open(t, path)
	must(t, s.Check(t.Context()))
	want := goldenEntries()
	for _, e := range want {
		got, err := s.Get(t.Context(), e.ID)
		if err != nil || !same(got, e) {
			t.Errorf("%s: expected version %d, due %v, got %d, %v, %v, or another body", e.ID, e.Version, e.Due, got.Version, got.Due, err)
		}
	}
	n := 0
	for _, err := range s.List(t.Context()) {
		must(t, err)
		n++
	}
	if n != len(want) {
		t.Errorf("List: expected %d entries, got %d", len(want), n)
	}
	claimed, err := s.Claim(t.Context(), at(9), at(10), 10)
	must(t, err)
	if want := []string{"0AZaz9-_.", "due", "empty", "large"}; !slices.Equal(ids(claimed), want) {
		t.Errorf("Claim: expected %v, got %v", want, ids(claimed))
	}
	if e := put(t, s, store.Entry{ID: "gone"}); e.Version <= 7 {
		t.Errorf("expected a version that was never given, above 7, got %d", e.Version)
	}
}
