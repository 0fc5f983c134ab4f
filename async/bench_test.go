package async_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkStart measures the cost of Start, compared with an activity that
// returns activity.ErrResultPending at once. With the in-memory store, the cost
// is two writes.
func BenchmarkStart(b *testing.B) {
	h, err := async.New(async.Options{Store: store.NewMemory(), Completer: new(asynctest.Completer)})
	if err != nil {
		b.Fatal(err)
	}
	info := attempt(1)
	ask := func(context.Context, async.Pending[Decision]) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		info.ScheduledTime = info.ScheduledTime.Add(time.Millisecond)
		if err := async.StartAttempt(b.Context(), h, info, async.StartOptions{}, ask); err != activity.ErrResultPending {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs-over-bare")
}

// BenchmarkComplete measures opening a callback and answering it, up to the
// completer.
func BenchmarkComplete(b *testing.B) {
	h, err := async.New(async.Options{Store: store.NewMemory(), Completer: nopCompleter{}})
	if err != nil {
		b.Fatal(err)
	}
	info := attempt(1)
	b.ReportAllocs()
	for b.Loop() {
		info.ScheduledTime = info.ScheduledTime.Add(time.Millisecond)
		var id string
		err := async.StartAttempt(b.Context(), h, info, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
		if err != activity.ErrResultPending {
			b.Fatal(err)
		}
		p, err := async.Open[Decision](b.Context(), h, id)
		if err == nil {
			err = p.Complete(b.Context(), Decision{Approved: true})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// nopCompleter accepts everything and remembers nothing.
type nopCompleter struct{ completer.Completer }

func (nopCompleter) Complete(context.Context, completer.Target, completer.Outcome) error { return nil }
