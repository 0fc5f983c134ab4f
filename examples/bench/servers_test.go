package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"
)

// floorKeys is the number of values that a floor reads and writes in turn.
// floorSize is the size of such a value, which equals the size of an entry.
const floorKeys, floorSize = 1000, 500

func redisClient(b *testing.B, url string) *goredis.Client {
	b.Helper()
	o, err := goredis.ParseURL(url)
	must(b, err)
	c := goredis.NewClient(o)
	b.Cleanup(func() { must(b, c.Close()) })
	return c
}

// bareRedis reads a value and writes it back, with another value each time.
func bareRedis(b *testing.B, c *goredis.Client) func(ctx context.Context) error {
	b.Helper()
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

// redisSize returns the memory that Redis has allocated.
func redisSize(b *testing.B, c *goredis.Client) int64 {
	b.Helper()
	info, err := c.Info(b.Context(), "memory").Result()
	must(b, err)
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			must(b, err)
			return n
		}
	}
	b.Fatal("INFO memory has no used_memory")
	return 0
}

// waitForRewrite returns when Redis does not rewrite its file of commands, which
// takes a processor and slows down writes.
func waitForRewrite(b *testing.B, c *goredis.Client) {
	b.Helper()
	for {
		info, err := c.Info(b.Context(), "persistence").Result()
		must(b, err)
		if strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func postgresPool(b *testing.B, url string) *pgxpool.Pool {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), url)
	must(b, err)
	b.Cleanup(pool.Close)
	return pool
}

// barePostgres reads a row and updates it, with another row each time.
func barePostgres(b *testing.B, pool *pgxpool.Pool) func(ctx context.Context) error {
	b.Helper()
	_, err := pool.Exec(b.Context(), "CREATE TABLE floor (id bigint PRIMARY KEY, body bytea NOT NULL)")
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

// postgresSize returns the size of the database, indexes included.
func postgresSize(b *testing.B, pool *pgxpool.Pool) (n int64) {
	b.Helper()
	must(b, pool.QueryRow(b.Context(), "SELECT pg_database_size(current_database())").Scan(&n))
	return n
}

func fileSize(b *testing.B, path string) int64 {
	b.Helper()
	info, err := os.Stat(path)
	must(b, err)
	return info.Size()
}

// heapSize returns the memory in use after a collection.
func heapSize(*testing.B) int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
