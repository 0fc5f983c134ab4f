package answers

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/store"
)

// ownServer starts a server with its data in a file. The test may kill and
// restart the server.
func ownServer(t *testing.T) (*devserver.Server, client.Client, client.Options) {
	t.Helper()
	s, err := devserver.Start(rig.Context(t), devserver.Options{Database: filepath.Join(t.TempDir(), "temporal.db")})
	must(t, err)
	t.Cleanup(func() { _ = s.Stop() })
	o := s.ClientOptions()
	o.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.Dial(o)
	must(t, err)
	t.Cleanup(c.Close)
	return s, c, o
}

// handingOver returns a rig whose activities call Start, and a channel of the
// callback IDs that the external system receives.
func handingOver(t *testing.T, c client.Client, o client.Options, hub *async.Hub) (*rig.Rig, <-chan string) {
	t.Helper()
	ids := make(chan string, 10)
	return rig.New(t, rig.Options{
		Client: c, Namespace: o.Namespace,
		Function: func(ctx context.Context) (any, error) {
			return async.Start(ctx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
				ids <- p.ID()
				return nil
			})
		},
		Register: func(r worker.Registry) {
			r.RegisterWorkflow(awaitDecision)
			r.RegisterWorkflow(approveAll)
		},
	}), ids
}

// approveAll waits for n answers, and returns how many it got.
func approveAll(ctx workflow.Context, n int) (got int, err error) {
	var asked []workflow.Future
	for range n {
		asked = append(asked, workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, patient()), rig.Activity))
	}
	for _, f := range asked {
		var d Decision
		if err := f.Get(ctx, &d); err != nil {
			return got, err
		}
		if d == approved {
			got++
		}
	}
	return got, nil
}

// The server is killed before the answer, and starts again after the client has
// given up. The answer was accepted, and the next attempt delivers it without
// running its function.
func TestServerAway(t *testing.T) {
	t.Parallel()
	ctx := rig.Context(t)
	s, c, o := ownServer(t)
	reporter, err := completer.New(completer.Client{Client: c, Options: o})
	must(t, err)
	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: reporter, ClaimTime: 3 * time.Second})
	must(t, err)
	r, ids := handingOver(t, c, o, hub)
	attempt := expiring()
	attempt.StartToCloseTimeout = 8 * time.Second
	attempt.RetryPolicy = &temporal.RetryPolicy{InitialInterval: time.Millisecond}
	run := r.Start(awaitDecision, attempt)
	p, err := async.Open[Decision](ctx, hub, <-ids)
	must(t, err)
	s.Kill()
	must(t, p.Complete(ctx, approved))
	settled, err := hub.Open(ctx, p.ID())
	must(t, err)
	if i := settled.Info(); i.State != async.Settled {
		t.Errorf("the callback is %v, want settled: %+v", i.State, i)
	}
	must(t, s.Restart(ctx))
	var got Decision
	if err := run.Get(ctx, &got); err != nil || got != approved {
		t.Errorf("the workflow read %+v, %v", got, err)
	}
	if n := len(ids); n != 0 {
		t.Errorf("the outside was asked %d times more", n)
	}
}
