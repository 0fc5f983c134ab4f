package async_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkWaiting measures the cost of a waiting activity. B/entry is the
// memory of an entry in the in-memory store, without its body. goroutines is
// the number of goroutines of a running hub. x-naive is the memory of a naive
// implementation, divided by Latchkey's memory with bodies. The naive
// implementation has a goroutine and a ticker for each activity, and keeps only
// the token.
//
// The benchmark uses a million activities, or a hundred thousand with -short.
func BenchmarkWaiting(b *testing.B) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	var perEntry, body, naive float64
	goroutines := 0
	for b.Loop() {
		perEntry, body, goroutines = waiting(b, n)
		naive = naively(n)
	}
	b.ReportMetric(perEntry, "B/entry")
	b.ReportMetric(float64(goroutines), "goroutines")
	b.ReportMetric(naive/(perEntry+body), "x-naive")
	b.ReportMetric(body, "B/body")
	b.ReportMetric(0, "ns/op") // of no meaning
	if perEntry > 200 {
		b.Errorf("%.0f B for each entry over its body, want at most 200", perEntry)
	}
}

// heap returns the memory in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// waiting returns the memory of each of n waiting entries without its body, the
// size of the body, and the number of goroutines of a running hub.
func waiting(b *testing.B, n int) (perEntry, size float64, goroutines int) {
	s := store.NewMemory()
	before, none := heap(), runtime.NumGoroutine()
	w := &world{store: store.NewMemory()}
	var err error
	if w.hub, err = async.New(async.Options{Store: w.store, Completer: new(asynctest.Completer)}); err != nil {
		b.Fatal(err)
	}
	if err := startOne(b, w.hub); err != nil {
		b.Fatal(err)
	}
	var body []byte
	for e, err := range w.store.List(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		body = e.Body
	}
	// Each of n entries gets the body that Start wrote.
	for i := range n {
		e := store.Entry{ID: fmt.Sprintf("%032d", i), Due: time.Now().Add(time.Hour), Body: body}
		if _, err := s.Put(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	perEntry = float64(heap()-before)/float64(n) - float64(len(body))
	h, err := async.New(async.Options{Store: s, Completer: new(asynctest.Completer)})
	if err != nil {
		b.Fatal(err)
	}
	stop := benchRun(b, h)
	time.Sleep(10 * time.Millisecond) // the hub has polled once
	goroutines = runtime.NumGoroutine() - none
	stop()
	runtime.KeepAlive(s)
	return perEntry, float64(len(body)), goroutines
}

// naively returns the memory of each of n activities that have a goroutine and
// a ticker of their own.
func naively(n int) (perEntry float64) {
	before := heap()
	stop := make(chan struct{})
	var begun, wg sync.WaitGroup
	for i := range n {
		token := fmt.Appendf(nil, "token-%0130d", i)
		begun.Add(1)
		wg.Go(func() {
			beats := time.NewTicker(time.Hour)
			defer beats.Stop()
			begun.Done()
			for {
				select {
				case <-beats.C:
					fmt.Print(token)
				case <-stop:
					return
				}
			}
		})
	}
	begun.Wait()
	perEntry = float64(heap()-before) / float64(n)
	close(stop)
	wg.Wait()
	return perEntry
}

func startOne(b *testing.B, h *async.Hub) error {
	b.Helper()
	info := attempt(1)
	info.HeartbeatTimeout = time.Hour
	info.TaskToken = fmt.Appendf(nil, "token-%0130d", 1)
	err := async.StartAttempt(b.Context(), h, info, async.StartOptions{}, func(context.Context, async.Pending[Decision]) error { return nil })
	if err == activity.ErrResultPending {
		return nil
	}
	return fmt.Errorf("Start returned %w", err)
}

// benchRun runs the hub until stop is called, and waits for its first poll.
func benchRun(b *testing.B, h *async.Hub) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	runtime.Gosched()
	return func() {
		cancel()
		<-done
	}
}
