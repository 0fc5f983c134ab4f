package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/latchkey-go/latchkey/internal/million"
	"github.com/latchkey-go/latchkey/store/bolt"
)

// TestManyEntries runs a hub and a board on a file with many entries; with
// LATCHKEY_SOAK=1, there are a million.
func TestManyEntries(t *testing.T) {
	s, err := bolt.Open(t.Context(), filepath.Join(t.TempDir(), "latchkey.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	million.Test(t, s)
}
