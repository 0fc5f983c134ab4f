package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/examples/internal/redistest"
	"github.com/latchkey-go/latchkey/internal/postgrestest"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/bolt"     // bolt: as a store's URL
	_ "github.com/latchkey-go/latchkey/store/postgres" // postgres: as a store's URL
	_ "github.com/latchkey-go/latchkey/store/redis"    // redis: as a store's URL
)

// kinds are the stores that are measured. All but memory sync each write. start
// returns the store's URL, and a floor: a bare read and a bare write on the same
// server, or nil where none is measured.
var kinds = []struct {
	name  string
	start func(b *testing.B) (url string, floor func(ctx context.Context) error)
	round int // answers in a round without Temporal
}{
	{"memory", func(*testing.B) (string, func(context.Context) error) { return "memory:", nil }, 5000},
	{"bolt", func(b *testing.B) (string, func(context.Context) error) {
		return "bolt://" + filepath.Join(b.TempDir(), "latchkey.db"), nil
	}, 2000},
	{"redis", func(b *testing.B) (string, func(context.Context) error) {
		url := redistest.Start(b)
		return url, bareRedis(b, url)
	}, 2000},
	{"postgres", func(b *testing.B) (string, func(context.Context) error) {
		server := postgrestest.Start(b)
		return server.URL("migrate=true"), barePostgres(b, server.URL(""))
	}, 2000},
}

func openStore(b *testing.B, url string) store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), url)
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	return s
}

// floorKeys is how many values a floor reads and writes in turn, and floorSize
// how large each is, as an entry.
const floorKeys, floorSize = 1000, 500

// bareRedis reads a value and writes it back, each time another one.
func bareRedis(b *testing.B, url string) func(ctx context.Context) error {
	o, err := goredis.ParseURL(url)
	must(b, err)
	c := goredis.NewClient(o)
	b.Cleanup(func() { must(b, c.Close()) })
	key := func(i int64) string { return fmt.Sprint("floor:", i%floorKeys) }
	for i := range int64(floorKeys) {
		must(b, c.Set(b.Context(), key(i), make([]byte, floorSize), 0).Err())
	}
	var next atomic.Int64
	return func(ctx context.Context) error {
		key := key(next.Add(1))
		value, err := c.Get(ctx, key).Bytes()
		if err != nil {
			return err
		}
		return c.Set(ctx, key, value, 0).Err()
	}
}

// barePostgres reads a row and updates it, each time another one.
func barePostgres(b *testing.B, url string) func(ctx context.Context) error {
	pool, err := pgxpool.New(b.Context(), url)
	must(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), "CREATE TABLE floor (id bigint PRIMARY KEY, body bytea NOT NULL)")
	must(b, err)
	for i := range floorKeys {
		_, err := pool.Exec(b.Context(), "INSERT INTO floor VALUES ($1, $2)", i, make([]byte, floorSize))
		must(b, err)
	}
	var next atomic.Int64
	return func(ctx context.Context) error {
		id := next.Add(1) % floorKeys
		var body []byte
		if err := pool.QueryRow(ctx, "SELECT body FROM floor WHERE id = $1", id).Scan(&body); err != nil {
			return err
		}
		_, err := pool.Exec(ctx, "UPDATE floor SET body = $1 WHERE id = $2", body, id)
		return err
	}
}
