package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
)

// TestContextEndsWhilePgxWrites: pgx ends a call by a deadline on its
// connection. If the deadline passes while pgx sends the request, pgx returns
// the network's timeout without the error of the context.
func TestContextEndsWhilePgxWrites(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t), func(c *pgxpool.Config) { c.MaxConns = 1 })
	e := put(t, s, store.Entry{ID: "entry", Due: at(1)})
	for name, call := range map[string]func(ctx context.Context) error{
		"get":    func(ctx context.Context) error { _, err := s.Get(ctx, e.ID); return err },
		"put":    func(ctx context.Context) error { _, err := s.Put(ctx, e); return err },
		"delete": func(ctx context.Context) error { return s.Delete(ctx, e.ID, e.Version) },
		"claim":  func(ctx context.Context) error { _, err := s.Claim(ctx, at(1), at(2), 1); return err },
		"page":   func(ctx context.Context) error { _, err := s.Page(ctx, "", 1); return err },
		"count":  func(ctx context.Context) error { _, err := s.Count(ctx); return err },
		"list": func(ctx context.Context) error {
			for _, err := range s.List(ctx) {
				return err
			}
			return nil
		},
	} {
		warm(t, s) // opens a connection
		ctx, cancel := context.WithCancel(t.Context())
		s.lines.halt(cancel)
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	if got, err := s.Get(t.Context(), e.ID); err != nil || got.Version != e.Version {
		t.Errorf("Get afterwards: got version %d and error %v, want version %d: no request was sent", got.Version, err, e.Version)
	}
}
