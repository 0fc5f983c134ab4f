package async

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// TestNoObserverCostsNothing: a hub without an observer allocates nothing for
// observation.
func TestNoObserverCostsNothing(t *testing.T) {
	h, err := New(Options{Store: store.NewMemory(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, wrapped := h.entries.store.(observedStore); wrapped {
		t.Error("the store is wrapped, and there is no observer")
	}
	if n := observedAllocs(h); n != 0 {
		t.Errorf("it costs %v allocations", n)
	}
}

// TestMetricsAllocateNothing: after its series exist, Metrics allocates nothing
// for an operation.
func TestMetricsAllocateNothing(t *testing.T) {
	h, err := New(Options{Store: store.NewMemory(), Observer: Metrics(client.MetricsNopHandler, MetricsOptions{}), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if n := observedAllocs(h); n != 0 {
		t.Errorf("it costs %v allocations", n)
	}
	bare := testing.AllocsPerRun(100, func() { _, _ = h.entries.store.(observedStore).Store.Get(t.Context(), "x") })
	if n := testing.AllocsPerRun(100, func() { _, _ = h.entries.store.Get(t.Context(), "x") }); n != bare {
		t.Errorf("a read costs %v allocations, want %v", n, bare)
	}
}

// observedAllocs returns the number of allocations for the observation of a few
// operations.
func observedAllocs(h *Hub) float64 {
	ctx := context.Background()
	e := entry{id: "x", rec: &record.Record{State: record.Waiting, Labels: map[string]string{"a": "b"}}}
	return testing.AllocsPerRun(100, func() {
		ctx, seen := h.lookout.observe(ctx, OpDeliver, "result", e)
		seen.keep(e.rec)
		seen.delivery(e, verdict{})
		_, settle := h.lookout.observeSettle(ctx, e, record.Result)
		settle.accepted(e, time.Time{})
		settle.end(Done{Class: "closed"})
		_, asked := h.lookout.observeHandOff(ctx, e.rec)
		asked.end(Done{Info: asked.after(e)})
	})
}

// simObserver panics and returns wrong values, in a few of the simulation's
// processes. Half of these hubs call it inline, the others in a goroutine.
type simObserver struct {
	rng    *simRand
	blocks bool
}

func (s simObserver) Blocks() bool { return s.blocks }

func (s simObserver) Begin(ctx context.Context, o Operation) (context.Context, func(Done)) {
	if o.Carry != nil {
		switch s.rng.n(4) {
		case 0:
			o.Carry["traceparent"] = "\xff"
		case 1:
			o.Carry["traceparent"] = string(make([]byte, 4096))
		default:
			o.Carry["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		}
	}
	switch s.rng.n(6) {
	case 0:
		panic(errors.New("the observer panicked"))
	case 1:
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, func(Done) { panic("in done") }
	case 2:
		return WithIdempotencyKey(ctx, "mine"), nil
	case 3:
		return context.Background(), func(Done) {}
	case 4:
		return nil, nil
	}
	return ctx, func(Done) {}
}
