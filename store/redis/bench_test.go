package redis_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

const (
	benchBody = 400 // bytes
	rounds    = 5
)

// bareScript only does the writes of a Put.
var bareScript = goredis.NewScript(`
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('SET', KEYS[1], ARGV[2])
return 'OK'`)

// bareGet does the read of a Get in a script.
var bareGet = goredis.NewScript(`return redis.call('GET', KEYS[1])`)

// contest is one way to do an operation, for a comparison.
type contest struct {
	name string
	do   func(ctx context.Context, caller, i int) error
}

// run lets the contestants run in turn, five times, so that a change in the
// machine's speed affects all of them. run reports the median rate of the
// store. For script and set, run reports the median ratio of the store's rate
// to theirs in the same round.
func run(b *testing.B, callers int, store, script, set *contest) {
	b.Helper()
	contestants := []*contest{store, script, set}
	n := max(b.N/(rounds*len(contestants)), callers)
	for _, c := range contestants {
		c.race(b, callers, callers) // opens the connections
	}
	var rates, xScript, xSet []float64
	for range rounds {
		var round []float64
		for _, c := range contestants {
			round = append(round, c.race(b, callers, n))
		}
		rates = append(rates, round[0])
		xScript = append(xScript, round[0]/round[1])
		xSet = append(xSet, round[0]/round[2])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rates), "calls/s")
	b.ReportMetric(median(xScript), "x-script")
	b.ReportMetric(median(xSet), "x-set")
}

// race makes n calls from the given number of callers, and returns the calls
// per second.
func (c *contest) race(b *testing.B, callers, n int) float64 {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for caller := range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := c.do(b.Context(), caller, int(i)); err != nil {
					b.Errorf("%s: %v", c.name, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(begun).Seconds()
}

func benchClient(b *testing.B) *goredis.Client {
	b.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: startServer(b).addr, PoolSize: 64})
	b.Cleanup(func() { c.Close() })
	return c
}

func benchID(i int) string { return fmt.Sprintf("%010d-abcdefghijklmnopqrstuv", i) }

// BenchmarkPut replaces entries. Each caller has its own entry. BenchmarkPut
// compares the store with a script that makes the same writes without checks,
// and with a bare SET.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			client := benchClient(b)
			s := openStore(b, client, redis.Options{})
			body := []byte(strings.Repeat("x", benchBody))
			entries := make([]store.Entry, callers)
			for i := range entries {
				entries[i] = mustPut(b, s, store.Entry{ID: benchID(i), Due: at(i), Body: body})
			}
			b.ResetTimer()
			run(b, callers,
				&contest{name: "store", do: func(ctx context.Context, caller, i int) (err error) {
					e := &entries[caller]
					e.Due = at(i)
					e.Version, err = s.Put(ctx, *e)
					return err
				}},
				&contest{name: "script", do: func(ctx context.Context, caller, i int) error {
					shard := strconv.Itoa(caller % 16)
					id := benchID(caller)
					return bareScript.Run(ctx, client, []string{"bare{" + shard + "}:e:" + id, "bare{" + shard + "}:due"},
						id, freshValue(i), at(i).UnixMilli()).Err()
				}},
				&contest{name: "set", do: func(ctx context.Context, caller, i int) error {
					return client.Set(ctx, "set:"+benchID(caller), freshValue(i), 0).Err()
				}},
			)
		})
	}
}

// freshValue returns a value as long as that of an entry, and a different one
// for each i. An entry's value also differs in each write, because it contains
// the version. Lua needs neither memory nor a copy for a string that it has
// seen before.
func freshValue(i int) []byte {
	value := make([]byte, 16+benchBody)
	binary.BigEndian.PutUint64(value, uint64(i))
	return value
}

// BenchmarkGet reads entries. BenchmarkGet compares the store with a script
// that does GET, and with a bare GET of the same number of bytes. The ratio to
// the bare GET is named x-set, as in BenchmarkPut.
func BenchmarkGet(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			client := benchClient(b)
			s := openStore(b, client, redis.Options{})
			value := strings.Repeat("x", benchBody+16)
			for i := range 1000 {
				mustPut(b, s, store.Entry{ID: benchID(i), Due: at(i), Body: []byte(value[:benchBody])})
				if err := client.Set(b.Context(), "set:"+benchID(i), value, 0).Err(); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			run(b, callers,
				&contest{name: "store", do: func(ctx context.Context, _, i int) error {
					_, err := s.Get(ctx, benchID(i%1000))
					return err
				}},
				&contest{name: "script", do: func(ctx context.Context, _, i int) error {
					return bareGet.Run(ctx, client, []string{"set:" + benchID(i%1000)}).Err()
				}},
				&contest{name: "set", do: func(ctx context.Context, _, i int) error {
					return client.Set(ctx, "set:"+benchID(i%1000), value, 0).Err()
				}},
			)
		})
	}
}

// BenchmarkClaim claims the 1,000 due entries of a store that has the given
// number of other entries. x-10k is the time, divided by the time of the same
// claim among 10,000 entries.
func BenchmarkClaim(b *testing.B) {
	client := benchClient(b)
	base := newHaystack(b, client, 10_000)
	for _, h := range []*haystack{base, newHaystack(b, client, 1_000_000)} {
		b.Run(fmt.Sprintf("entries=%d", h.entries), func(b *testing.B) {
			var times, baseTimes []time.Duration
			for b.Loop() {
				times = append(times, h.claim(b))
				baseTimes = append(baseTimes, base.claim(b))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(median(times).Microseconds())/1e3, "ms/claim")
			b.ReportMetric(float64(median(times))/float64(median(baseTimes)), "x-10k")
		})
	}
}

// BenchmarkClaimIdle makes claims that find nothing due, as an idle fleet does.
func BenchmarkClaimIdle(b *testing.B) {
	h := newHaystack(b, benchClient(b), 10_000)
	for b.Loop() {
		if got, err := h.s.Claim(b.Context(), at(-1), at(1), 100); err != nil || len(got) != 0 {
			b.Fatalf("Claim: got %d entries and %v, want none", len(got), err)
		}
	}
}

const benchDue = 1000

// haystack is a store with a few due entries, and many that are not due.
type haystack struct {
	s       *redis.Store
	entries int
	now     int
}

func newHaystack(b *testing.B, client goredis.UniversalClient, entries int) *haystack {
	b.Helper()
	h := &haystack{s: openStore(b, client, redis.Options{Prefix: strconv.Itoa(entries) + ":"}), entries: entries}
	fill(b, h.s, entries, func(i int) time.Time {
		if i%(entries/benchDue) == 0 {
			return at(0)
		}
		return at(1_000_000_000)
	})
	return h
}

func (h *haystack) claim(b *testing.B) time.Duration {
	b.Helper()
	begun := time.Now()
	got, err := h.s.Claim(b.Context(), at(h.now), at(h.now+1), benchDue)
	if err != nil || len(got) != benchDue {
		b.Fatalf("Claim: got %d entries and %v, want %d", len(got), err, benchDue)
	}
	h.now++
	return time.Since(begun)
}

// fill inserts entries whose IDs and bodies are as long as those of package
// async.
func fill(b *testing.B, s store.Store, entries int, due func(i int) time.Time) {
	b.Helper()
	body := []byte(strings.Repeat("x", benchBody))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= entries; i = int(next.Add(1)) {
				if _, err := s.Put(b.Context(), store.Entry{ID: benchID(i), Due: due(i), Body: body}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkMemory measures the memory that Redis allocates for an entry. The
// result is the difference between Redis's total with and without the entries,
// and both include the clients' buffers.
func BenchmarkMemory(b *testing.B) {
	const entries = 100_000
	client := benchClient(b)
	used := func() int {
		b.Helper()
		info, err := client.Info(b.Context(), "memory").Result()
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(info) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
				n, err := strconv.Atoi(text)
				if err != nil {
					b.Fatal(err)
				}
				return n
			}
		}
		b.Fatal("INFO memory has no used_memory")
		return 0
	}
	s := openStore(b, client, redis.Options{})
	// Opens the connections.
	fill(b, s, 100, func(int) time.Time { return at(0) })
	before := used()
	n := 0
	for b.Loop() {
		n += entries
		fill(b, openStore(b, client, redis.Options{Prefix: fmt.Sprintf("memory%d:", n)}), entries, func(i int) time.Time { return at(i) })
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(used()-before)/float64(n), "B/entry")
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
