//go:build unix

package answers

import (
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/store"
)

// The server hangs: its process is stopped, and its connections stay open.
// After the hub has noticed this, answers are accepted without a wait for
// Temporal. All answers are delivered when the server continues.
//
// With LATCHKEY_SOAK=1 there are 200 callers a second for a minute.
func TestServerHangs(t *testing.T) {
	t.Parallel()
	// A caller that waits for the delivery would wait until the hub's claim
	// ends, which is 10 s.
	const atOnce = 5 * time.Second
	workflows, each, every := 1, 200, 20*time.Millisecond
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		workflows, each, every = 60, 200, 5*time.Millisecond
	}
	ctx := rig.Context(t)
	s, c, o := ownServer(t)
	reporter, err := completer.New(completer.Client{Client: c, Options: o})
	must(t, err)
	hub, err := async.New(async.Options{
		Store: store.NewMemory(), Completer: reporter, DeliveryWait: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	runHub(t, hub)
	r, ids := handingOver(t, c, o, hub)
	var runs []client.WorkflowRun
	var waiting []string
	for range workflows {
		runs = append(runs, r.Start(approveAll, each))
		for range each {
			r.Next()
			select {
			case id := <-ids:
				waiting = append(waiting, id)
			case <-ctx.Done():
				t.Fatalf("%d activities wait for an answer, want %d", len(waiting), workflows*each)
			}
		}
	}

	before := runtime.NumGoroutine()
	must(t, s.Suspend())
	took := make([]time.Duration, len(waiting))
	goroutines := 0
	var callers sync.WaitGroup
	var mu sync.Mutex // mu guards took and goroutines
	for i := range waiting {
		time.Sleep(every)
		callers.Go(func() {
			p, err := async.Open[Decision](ctx, hub, waiting[i])
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			began := time.Now()
			if err := p.Complete(ctx, approved); err != nil {
				t.Errorf("Complete: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			took[i], goroutines = time.Since(began), max(goroutines, runtime.NumGoroutine())
		})
	}
	callers.Wait()
	must(t, s.Resume())
	back := time.Now()
	for _, run := range runs {
		var got int
		if err := run.Get(ctx, &got); err != nil || got != each {
			t.Errorf("a workflow got %d answers, %v, want %d", got, err, each)
		}
	}
	t.Logf("all %d were read %v after the server went on; at most %d goroutines, %d before", len(waiting), time.Since(back), goroutines, before)
	late := took[len(took)/2:] // calls that began a second after the start or later
	slices.Sort(late)
	median := late[len(late)/2]
	t.Logf("Complete, the later half of the calls: median %v, 99th percentile %v, maximum %v", median, late[len(late)*99/100], late[len(late)-1])
	if median > atOnce {
		t.Errorf("the median of the later calls of Complete is %v, want at most %v", median, atOnce)
	}
}
