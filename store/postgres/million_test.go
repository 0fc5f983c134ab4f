package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/internal/million"
)

// TestManyEntries runs a hub and a board on a database with many entries; with
// LATCHKEY_SOAK=1, there are a million. The entries are written without a sync
// after each one.
func TestManyEntries(t *testing.T) {
	p := newPlace(t)
	s := open(t, p, func(c *pgxpool.Config) { c.MaxConns = 20 })
	million.TestFilled(t, s, open(t, p, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
		c.MaxConns = 16
	}))
}
