package async_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkObserver measures the life of an activity from Start to delivery:
// without an observer, with Metrics, and with an observer that hubs do not call
// inline. Metrics adds microseconds; a delivery to a server takes milliseconds.
func BenchmarkObserver(b *testing.B) {
	for name, o := range map[string]async.Observer{
		"none":    nil,
		"metrics": async.Metrics(client.MetricsNopHandler, async.MetricsOptions{}),
		"blocker": &recorder{},
	} {
		b.Run(name, func(b *testing.B) {
			h, err := async.New(async.Options{Store: store.NewMemory(), Completer: nopCompleter{}, Observer: o})
			if err != nil {
				b.Fatal(err)
			}
			info := attempt(1)
			b.ReportAllocs()
			for b.Loop() {
				info.ScheduledTime = info.ScheduledTime.Add(time.Millisecond)
				answered(b, h, info)
			}
		})
	}
}

// answered starts an activity and answers it.
func answered(b *testing.B, h *async.Hub, info activity.Info) {
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
