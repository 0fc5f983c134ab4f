package postgres_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/internal/million"
)

// A hub and a board on a database with many entries; a million with
// LATCHKEY_SOAK=1.
func TestManyEntries(t *testing.T) { million.Test(t, open(t, newPlace(t))) }
