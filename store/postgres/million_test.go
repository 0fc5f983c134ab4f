package postgres_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/internal/million"
)

// The test runs a hub and a board on a database with many entries; with
// LATCHKEY_SOAK=1, there are a million.
func TestManyEntries(t *testing.T) { million.Test(t, open(t, newPlace(t))) }
