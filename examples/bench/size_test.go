package bench

import (
	"context"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// BenchmarkSize stores 20,000 entries, and 200,000 in bolt, whose file grows by
// 16 MiB at a time. B/waiting is the size of a waiting entry, B/over is the part
// of it that is not the entry's body, and B/delivered is the size of an entry
// whose answer was delivered. The size of a database includes its indexes and
// its free space.
func BenchmarkSize(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			entries := 20_000
			if kind.name == "bolt" {
				entries = 200_000
			}
			at := kind.start(b)
			a := newAccepting(b, openStore(b, at.url))
			each := func(put func()) float64 {
				before := at.size(b)
				put()
				return float64(at.size(b)-before) / float64(entries)
			}
			a.fill(b, 100) // opens the connections, and allocates the first pages
			waiting := each(func() { a.fill(b, entries) })
			body := a.delivered(b)
			delivered := each(func() { a.put(b, entries, a.template.Due, body, "") })
			for b.Loop() {
			}
			b.ReportMetric(0, "ns/op") // of no meaning
			b.ReportMetric(waiting, "B/waiting")
			b.ReportMetric(waiting-float64(len(a.template.Body)), "B/over")
			b.ReportMetric(delivered, "B/delivered")
		})
	}
}

// delivered returns the body of an entry whose answer was delivered.
func (a *accepting) delivered(b *testing.B) []byte {
	b.Helper()
	hub, err := async.New(async.Options{Store: a.store, Completer: new(taking), Logger: quiet})
	must(b, err)
	id := a.ask(b)
	p, err := async.Open[Decision](b.Context(), hub, id)
	must(b, err)
	must(b, p.Complete(b.Context(), approved))
	e, err := a.store.Get(b.Context(), id[:entryID])
	must(b, err)
	must(b, a.store.Delete(b.Context(), e.ID, e.Version))
	return e.Body
}

// taking is a completer that takes every answer.
type taking struct{ completer.Completer }

func (taking) Complete(context.Context, completer.Target, completer.Outcome) error { return nil }
