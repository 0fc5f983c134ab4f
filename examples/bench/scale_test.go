package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkScale fills a store with waiting entries, and then measures single
// operations: opening the store, claiming 100 due entries, opening a callback,
// a page of 50, and a count of all. LATCHKEY_BENCH_ENTRIES is the number of
// entries. The default is 100,000. Compare the results for two numbers to see
// which costs grow.
func BenchmarkScale(b *testing.B) {
	entries := 100_000
	if text := os.Getenv("LATCHKEY_BENCH_ENTRIES"); text != "" {
		var err error
		entries, err = strconv.Atoi(text)
		must(b, err)
	}
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			at, measured := kind.start(b), make(map[string]float64)
			s, err := store.Open(b.Context(), at.url)
			must(b, err)
			a := newAccepting(b, s)
			before := at.size(b)
			if at.sync != nil {
				at.sync(b, false)
			}
			ids := a.put(b, entries, time.Now().Add(24*time.Hour), a.template.Body, a.secret)
			if at.sync != nil {
				at.sync(b, true)
			}
			measured["B/entry"] = float64(at.size(b)-before) / float64(entries)
			if kind.name != "memory" { // the entries of a memory store end with it
				must(b, s.Close())
				begun := time.Now()
				s, err = store.Open(b.Context(), at.url)
				must(b, err)
				_, err = s.Get(b.Context(), ids[0][:entryID])
				must(b, err)
				measured["open-ms"] = time.Since(begun).Seconds() * 1000
			}
			b.Cleanup(func() { must(b, s.Close()) })
			a.store = s
			a.hub, err = async.New(async.Options{Store: s, Logger: quiet})
			must(b, err)
			const times = 20
			var gets, claims, pages latencies
			for i := range times * 50 {
				must(b, gets.of(a.open)(b.Context(), ids[i*entries/(times*50)]))
			}
			for range times {
				due := a.put(b, 100, time.Now().Add(-time.Second), a.template.Body, a.secret)
				must(b, claims.of(a.claim)(b.Context(), fmt.Sprint(len(due))))
				must(b, pages.of(a.page)(b.Context(), ""))
			}
			measured["get-µs"] = quantile(gets.all, 0.5).Seconds() * 1e6
			measured["claim-µs/entry"] = quantile(claims.all, 0.5).Seconds() * 1e6 / 100
			measured["page-ms"] = quantile(pages.all, 0.5).Seconds() * 1000
			begun := time.Now()
			_, err = a.hub.Stats(b.Context())
			must(b, err)
			measured["stats-µs/entry"] = time.Since(begun).Seconds() * 1e6 / float64(entries)
			for b.Loop() {
			}
			for metric, value := range measured {
				b.ReportMetric(value, metric)
			}
			b.ReportMetric(0, "ns/op") // of no meaning
		})
	}
}

func (a *accepting) open(ctx context.Context, id string) error {
	_, err := a.hub.Open(ctx, id)
	return err
}

// claim claims 100 due entries, and sets them to never due.
func (a *accepting) claim(ctx context.Context, _ string) error {
	claimed, err := a.store.Claim(ctx, time.Now(), time.Now().Add(time.Hour), 100)
	if err == nil && len(claimed) != 100 {
		err = fmt.Errorf("claimed %d entries, want 100", len(claimed))
	}
	return err
}

func (a *accepting) page(ctx context.Context, _ string) error {
	_, err := a.hub.Page(ctx, async.Query{Limit: 50})
	return err
}
