package bench

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/redistest"
	"github.com/latchkey-go/latchkey/internal/postgrestest"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/bolt"     // registers the scheme "bolt" for store.Open
	_ "github.com/latchkey-go/latchkey/store/postgres" // registers the scheme "postgres" for store.Open
	_ "github.com/latchkey-go/latchkey/store/redis"    // registers the scheme "redis" for store.Open
)

// kinds are the measured stores. All stores except memory sync each write.
var kinds = []struct {
	name  string
	start func(b *testing.B) place
	round int // number of answers in a round without Temporal
}{
	{"memory", func(*testing.B) place { return place{url: "memory:", size: heapSize} }, 5000},
	{"bolt", func(b *testing.B) place {
		file := filepath.Join(b.TempDir(), "latchkey.db")
		return place{url: "bolt://" + file, size: func(b *testing.B) int64 { return fileSize(b, file) }}
	}, 2000},
	{"redis", func(b *testing.B) place {
		url := redistest.Start(b)
		client := redisClient(b, url)
		return place{
			url:   url + "?pages=true",
			floor: func(b *testing.B) func(context.Context) error { return bareRedis(b, client) },
			size:  func(b *testing.B) int64 { return redisSize(b, client) },
			sync: func(b *testing.B, each bool) {
				mode := "no"
				if each {
					mode = "always"
				}
				must(b, client.ConfigSet(b.Context(), "appendfsync", mode).Err())
				waitForRewrite(b, client)
			},
		}
	}, 2000},
	{"postgres", func(b *testing.B) place {
		server := postgrestest.Start(b)
		pool := postgresPool(b, server.URL(""))
		return place{
			url:   server.URL("migrate=true"),
			floor: func(b *testing.B) func(context.Context) error { return barePostgres(b, pool) },
			size:  func(b *testing.B) int64 { return postgresSize(b, pool) },
		}
	}, 2000},
}

// place is where a store keeps its entries.
type place struct {
	url   string
	floor func(b *testing.B) func(ctx context.Context) error // a bare read and a bare write on the same server; nil if it is not measured
	size  func(b *testing.B) int64                           // bytes in use
	sync  func(b *testing.B, each bool)                      // sets whether each write is synced; nil if the store cannot be filled faster
}

func openStore(b *testing.B, url string) store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), url)
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	return s
}
