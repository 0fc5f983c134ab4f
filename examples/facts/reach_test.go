package facts

import (
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// The server cannot be reached during a completion. The client gets an error
// after the SDK's retries, the answer is lost, and the activity still waits.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s, err := devserver.Start(t.Context(), devserver.Options{Database: filepath.Join(t.TempDir(), "temporal.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	o := s.ClientOptions()
	o.Logger = quiet
	c, err := client.Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r := rig.New(t, rig.Options{Client: c, Register: func(w worker.Registry) { w.RegisterWorkflow(awaitDecision) }})
	run := r.Start(awaitDecision, patient())
	info := r.Next()

	s.Kill()
	// Without a deadline, the SDK retries for a minute.
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := c.CompleteActivity(ctx, info.TaskToken, approved, nil); err == nil {
		t.Error("completion without a server: nil, want an error")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := r.Pending(run); p.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED || p.GetAttempt() != 1 {
		t.Errorf("pending after the restart: %v, want attempt 1 to wait on", p)
	}
	wantNil(t, "the answer, given again", c.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
}

// If the reply is lost, the SDK retries by itself, and gets NotFound after a
// success.
func TestLostReply(t *testing.T) {
	t.Parallel()
	var lost atomic.Int32
	c := server.Dial(t, client.Options{ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			err := invoke(ctx, method, req, reply, cc, opts...)
			if err == nil && strings.HasSuffix(method, "/RespondActivityTaskCompleted") && lost.Add(1) == 1 {
				return status.Error(codes.Unavailable, "the reply is lost")
			}
			return err
		}),
	}}})
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	wantNotFound(t, "completion whose reply is lost", c.CompleteActivity(r.Context(), r.Next().TaskToken, approved, nil))
	if lost.Load() != 1 {
		t.Errorf("%d successful calls, want 1", lost.Load())
	}
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want the answer %+v all the same", got, approved)
	}
}
