package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-go/latchkey/internal/postgrestest"
	"github.com/latchkey-go/latchkey/store"
)

// pairs is the number of rounds for the store and for bare pgx.
const pairs = 41

// The benchmarks compare the store with the same statement on the same pool.
// The rounds of both alternate, so that a change in the machine's speed affects
// both alike. x-pgx is the store's throughput, divided by that of bare pgx: the
// median over the rounds. The server syncs each write.

// BenchmarkPut replaces entries. Each caller has its own entry.
func BenchmarkPut(b *testing.B) {
	s := openBench(b)
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			held := make([]store.Entry, callers)
			for i := range held {
				held[i] = store.Entry{ID: rand.Text(), Due: due(0), Body: make([]byte, 400)}
				must(b, put(b.Context(), s, &held[i]))
			}
			each := max(10, 40/callers) // operations of a caller in a round
			compare(b, each*callers, "puts/s", func() {
				together(b, callers, func(i int) error {
					for range each {
						e := held[i]
						version := newVersion()
						done, err := s.pool.Exec(b.Context(), s.sql.replace, e.ID, version, e.Due.UnixMilli(), e.Body, sum(e), int64(e.Version))
						if err != nil {
							return err
						}
						if done.RowsAffected() != 1 {
							return store.ErrConflict
						}
						held[i].Version = uint64(version)
					}
					return nil
				})
			}, func() {
				together(b, callers, func(i int) error {
					for range each {
						if err := put(b.Context(), s, &held[i]); err != nil {
							return err
						}
					}
					return nil
				})
			})
		})
	}
}

// BenchmarkGet reads an entry.
func BenchmarkGet(b *testing.B) {
	s := openBench(b)
	e := store.Entry{ID: "entry", Due: due(0), Body: make([]byte, 400)}
	must(b, put(b.Context(), s, &e))
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			each := max(20, 200/callers) // operations of a caller in a round
			compare(b, each*callers, "gets/s", func() {
				together(b, callers, func(int) error {
					for range each {
						rows, _ := s.pool.Query(b.Context(), s.sql.get, e.ID)
						if _, err := pgx.CollectExactlyOneRow(rows, scanBare); err != nil {
							return err
						}
					}
					return nil
				})
			}, func() {
				together(b, callers, func(int) error {
					for range each {
						if _, err := s.Get(b.Context(), e.ID); err != nil {
							return err
						}
					}
					return nil
				})
			})
		})
	}
}

func scanBare(row pgx.CollectableRow) (e store.Entry, err error) {
	var due int64
	var kept int32
	err = row.Scan(&e.ID, &e.Version, &due, &e.Body, &kept)
	e.Due = time.UnixMilli(due)
	return e, err
}

// BenchmarkClaim makes claims that find due entries, and claims that find none.
func BenchmarkClaim(b *testing.B) {
	s := openBench(b)
	const entries, n = 200, 20
	together(b, 8, func(w int) error {
		for i := w; i < entries; i += 8 {
			e := store.Entry{ID: fmt.Sprintf("claim-%d", i), Due: due(0), Body: make([]byte, 400)}
			if err := put(b.Context(), s, &e); err != nil {
				return err
			}
		}
		return nil
	})
	bare := func(now, until time.Time) (claimed []store.Entry) {
		rows, _ := s.pool.Query(b.Context(), s.sql.claim, now.UnixMilli(), until.UnixMilli(), n, newVersion(), store.MaxClaim)
		claimed, err := pgx.CollectRows(rows, scanBare)
		must(b, err)
		return claimed
	}
	ours := func(now, until time.Time) []store.Entry {
		claimed, err := s.Claim(b.Context(), now, until, n)
		must(b, err)
		return claimed
	}
	type claimer func(now, until time.Time) []store.Entry
	round := int64(1) // entries that one claim takes are due again in the next round
	b.Run("of=20", func(b *testing.B) {
		all := func(c claimer) func() {
			return func() {
				for range entries / n {
					if got := len(c(due(round), due(round+1))); got != n {
						b.Fatalf("claimed %d entries, want %d", got, n)
					}
				}
				round++
			}
		}
		compare(b, entries/n, "claims/s", all(bare), all(ours))
	})
	b.Run("empty", func(b *testing.B) {
		const each = 100
		none := func(c claimer) func() {
			return func() {
				for range each {
					if got := len(c(due(-2), due(-1))); got != 0 {
						b.Fatalf("claimed %d entries, want none", got)
					}
				}
			}
		}
		compare(b, each, "claims/s", none(bare), none(ours))
	})
}

// compare measures pairs of rounds with the given number of operations each.
func compare(b *testing.B, operations int, unit string, bare, ours func()) {
	b.Helper()
	bare() // warms up
	ours()
	var ratios, rates []float64
	timed := func(round func()) float64 {
		begun := time.Now()
		round()
		return time.Since(begun).Seconds()
	}
	for b.Loop() {
		for pair := range pairs {
			var without, with float64
			both := []func(){func() { without = timed(bare) }, func() { with = timed(ours) }}
			if pair%2 == 1 {
				slices.Reverse(both)
			}
			for _, measure := range both {
				measure()
			}
			ratios = append(ratios, without/with)
			rates = append(rates, float64(operations)/with)
		}
	}
	b.ReportMetric(0, "ns/op") // the rounds report their own times
	b.ReportMetric(median(ratios), "x-pgx")
	b.ReportMetric(median(rates), unit)
}

func median(all []float64) float64 {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func openBench(b *testing.B) *Store {
	b.Helper()
	o := Options{URL: postgrestest.Start(b).URL("pool_max_conns=16")}
	must(b, Migrate(b.Context(), o))
	s, err := Open(b.Context(), o)
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	return s
}

func due(ms int64) time.Time { return time.UnixMilli(1_900_000_000_000 + ms) }

func put(ctx context.Context, s store.Store, e *store.Entry) (err error) {
	e.Version, err = s.Put(ctx, *e)
	return err
}

func together(b *testing.B, callers int, do func(i int) error) {
	b.Helper()
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if err := do(i); err != nil {
				failed.Store(&err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
