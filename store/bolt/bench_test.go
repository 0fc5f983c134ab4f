package bolt

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// Every ratio is the median over this number of rounds. All contestants have a
// turn in each round, so that slow moments of the machine affect all of them.
const rounds = 5

const payload = 400 // bytes: about the size of an entry of package async

// newID returns an ID in the form that package async uses: ten characters of
// base32hex for the time in milliseconds, then 22 of base64url.
func newID(ms int64) string {
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(ms)<<14)
	var random [16]byte
	_, _ = rand.Read(random[:])
	return base32.HexEncoding.EncodeToString(t[:])[:10] + base64.RawURLEncoding.EncodeToString(random[:])
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func benchStore(b *testing.B, o Options) *Store {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "latchkey.db"), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// bareDB is plain bbolt with two buckets, which get the same data as the
// store's.
func bareDB(b *testing.B) *bbolt.DB {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{entryBucket, dueBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

func barePut(id string, due int64, body []byte) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		if err := tx.Bucket(entryBucket).Put([]byte(id), body); err != nil {
			return err
		}
		return tx.Bucket(dueBucket).Put(dueKey(due, id), nil)
	}
}

// A round has this number of turns of each contestant, so that slow moments of
// the disk affect all of them.
const (
	turns = 8
	turn  = 50 * time.Millisecond
)

// side is one contestant: its function for a put, and the number of its puts.
type side struct {
	put  func(id string, due int64) error
	n    atomic.Int64
	took time.Duration
}

func (s *side) run(b *testing.B, writers int) {
	var wg sync.WaitGroup
	start := time.Now()
	for range writers {
		wg.Go(func() {
			for time.Since(start) < turn {
				ms := time.Now().UnixMilli()
				if err := s.put(newID(ms), ms+60_000); err != nil {
					b.Error(err)
					return
				}
				s.n.Add(1)
			}
		})
	}
	wg.Wait()
	s.took += time.Since(start)
}

// rate returns the puts per second since the last call.
func (s *side) rate() float64 {
	defer func() { s.took = 0 }()
	return float64(s.n.Swap(0)) / s.took.Seconds()
}

// fsyncTime returns the median time of a sync of 4 KiB in the middle of a file.
func fsyncTime(b *testing.B) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4<<10)
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		b.Fatal(err)
	}
	var times []float64
	for i := range 11 {
		start := time.Now()
		if _, err := f.WriteAt(page, int64(i)*int64(len(page))); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		times = append(times, float64(time.Since(start)))
	}
	return time.Duration(median(times))
}

// BenchmarkPut compares inserts with db.Update and db.Batch of bare bbolt.
// x-update and x-batch are ratios of throughput.
func BenchmarkPut(b *testing.B) {
	body := make([]byte, payload)
	for _, writers := range []int{1, 2, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			for b.Loop() {
				s, updated, batched := benchStore(b, Options{}), bareDB(b), bareDB(b)
				ours := side{put: func(id string, due int64) error {
					_, err := s.Put(b.Context(), store.Entry{ID: id, Due: time.UnixMilli(due), Body: body})
					return err
				}}
				update := side{put: func(id string, due int64) error { return updated.Update(barePut(id, due, body)) }}
				batch := side{put: func(id string, due int64) error { return batched.Batch(barePut(id, due, body)) }}
				var rate, xUpdate, xBatch, fsync []float64
				for range rounds {
					for range turns {
						for _, s := range []*side{&ours, &update, &batch} {
							s.run(b, writers)
						}
						fsync = append(fsync, float64(fsyncTime(b).Microseconds()))
					}
					r := ours.rate()
					rate = append(rate, r)
					xUpdate = append(xUpdate, r/update.rate())
					xBatch = append(xBatch, r/batch.rate())
				}
				b.ReportMetric(0, "ns/op") // the time of the whole measurement has no meaning
				b.ReportMetric(median(rate), "puts/s")
				b.ReportMetric(median(xUpdate), "x-update")
				b.ReportMetric(median(xBatch), "x-batch")
				b.ReportMetric(median(fsync), "µs-fsync")
			}
		})
	}
}

// fill creates a store of n entries. One of the entries is due every
// millisecond from at(0) on. Entries are due in the order of their IDs, as
// activities of one kind are, or in random order, which is the worst case for a
// tree.
func fill(b *testing.B, n int, scattered bool) string {
	s := benchStore(b, Options{NoSyncForTests: true})
	order := mathrand.New(mathrand.NewPCG(1, 2)).Perm(n)
	body := make([]byte, payload)
	const batch = 10_000
	for start := 0; start < n; start += batch {
		err := s.write(b.Context(), 0, func(t *txn) error {
			for i := start; i < min(n, start+batch); i++ {
				due := i
				if scattered {
					due = order[i]
				}
				id := newID(at(int64(i)).UnixMilli())
				if _, err := t.put(id, never, at(int64(due)).UnixMilli(), newValue(id, body)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return s.path
}

// claimer repeatedly opens a file from fill and claims the next due entries.
type claimer struct {
	path string
	next int64 // everything due up to this millisecond was claimed
}

// claim returns the durations of Open and of the claim of n entries.
func (c *claimer) claim(b *testing.B, n int64) (opened, claimed time.Duration) {
	start := time.Now()
	s, err := Open(b.Context(), c.path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	opened = time.Since(start)
	now := at(c.next + n - 1)
	start = time.Now()
	entries, err := s.Claim(b.Context(), now, now.Add(1000*time.Hour), int(n))
	claimed = time.Since(start)
	if err != nil || int64(len(entries)) != n {
		b.Fatalf("claimed %d entries of %d, %v", len(entries), n, err)
	}
	c.next += n
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return opened, claimed
}

// inCache reads a file, so that the page cache contains it.
func inCache(b *testing.B, path string) (size int64) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if size, err = io.Copy(io.Discard, f); err != nil {
		b.Fatal(err)
	}
	return size
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

// BenchmarkOpen measures the time from the start of Open to the end of the
// first claim, of a hundred entries. The file is in the page cache.
func BenchmarkOpen(b *testing.B) {
	c := claimer{path: fill(b, 1_000_000, true)}
	for b.Loop() {
		var first, opened []float64
		var size int64
		for range rounds {
			size = inCache(b, c.path)
			open, claim := c.claim(b, 100)
			opened = append(opened, ms(open))
			first = append(first, ms(open+claim))
		}
		b.ReportMetric(0, "ns/op") // the time of the whole measurement has no meaning
		b.ReportMetric(median(opened), "ms-open")
		b.ReportMetric(median(first), "ms-first-claim")
		b.ReportMetric(float64(size)/(1<<20), "MiB")
	}
}

// BenchmarkClaim measures a claim of a thousand due entries in a store of N
// entries. The result is a multiple of the time in a store of ten thousand.
func BenchmarkClaim(b *testing.B) {
	const few, due = 10_000, 1_000
	for _, scattered := range []bool{false, true} {
		for _, n := range []int{100_000, 1_000_000} {
			name := fmt.Sprintf("entries=%d", n)
			if scattered {
				name += "/scattered"
			}
			b.Run(name, func(b *testing.B) {
				large := claimer{path: fill(b, n, scattered)}
				for b.Loop() {
					small := claimer{path: fill(b, few, scattered)}
					var took, ratio []float64
					for range rounds {
						inCache(b, large.path)
						inCache(b, small.path)
						_, among := large.claim(b, due)
						_, alone := small.claim(b, due)
						took = append(took, ms(among))
						ratio = append(ratio, ms(among)/ms(alone))
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(median(took), "ms-claim")
					b.ReportMetric(median(ratio), "x-10k")
				}
			})
		}
	}
}
