package answers

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// slowly is the shortest delay before the next try after a refusal of the
// answer itself. After a refusal of the hub, the next try can come sooner,
// because another hub may deliver.
const slowly = time.Minute

// refusing is a gateway in front of the server. refusing refuses answers of
// activities while its code is not OK.
type refusing struct {
	code    atomic.Uint32
	refused atomic.Int32
}

func (r *refusing) intercept(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
	if code := codes.Code(r.code.Load()); code != codes.OK && strings.Contains(method, "/RespondActivityTask") {
		r.refused.Add(1)
		return status.Error(code, "the gateway says no")
	}
	return invoke(ctx, method, request, reply, c, o...)
}

func (r *refusing) options() client.Options {
	return client.Options{ConnectionOptions: client.ConnectionOptions{
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(r.intercept)},
	}}
}

// If an answer is refused on the way to the server, it is kept and the Refused
// hook is called. The answer is delivered after the cause is gone.
func TestRefusedByAGateway(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument} {
		t.Run(code.String()+", in a workflow", func(t *testing.T) {
			gateway, hooks := new(refusing), newTellings()
			w := newWorld(t, config{client: gateway.options(), hub: running(hooks)})
			run := w.Start(awaitDecision, short())
			info := w.Next()
			p := w.next()
			w.refusedBy(gateway, code, p, hooks)
			w.AwaitPending(run, "back-off", rig.BackOff(2))
			w.Reset(info) // the next attempt begins now and delivers
			w.wantResult(run, approved)
			w.deliveredAtLast(p, hooks)
		})
		t.Run(code.String()+", standalone", func(t *testing.T) {
			gateway, hooks := new(refusing), newTellings()
			w := newWorld(t, config{client: gateway.options(), hub: running(hooks)})
			h := w.StartActivity(later())
			info := w.Next()
			p := w.next()
			w.refusedBy(gateway, code, p, hooks)
			w.awaitAttempt(h, 2)
			w.Reset(info)
			w.wantOutcome(h, approved)
			w.deliveredAtLast(p, hooks)
		})
	}
}

// refusedBy sends an answer that the gateway refuses, and checks that the
// answer is kept and reported. refusedBy then opens the gateway for the next
// call. The code InvalidArgument refuses the answer. The other codes refuse the
// hub, which probes, and reports the refusal after other hubs have had time to
// deliver.
func (w *world) refusedBy(gateway *refusing, code codes.Code, p async.Pending[Decision], hooks tellings) {
	w.t.Helper()
	gateway.code.Store(uint32(code))
	must(w.t, p.Complete(w.Context(), approved))
	i := w.wantState(p, async.Settled)
	ofTheAnswer := code == codes.InvalidArgument
	if wait := i.NextDelivery.Sub(i.Settled); i.LastError != "refused" || ofTheAnswer != (wait >= slowly) {
		w.t.Errorf("the last error is %q, and the next try comes after %v; want a refusal, and %v or more only after InvalidArgument", i.LastError, wait, slowly)
	}
	w.run()
	hooks.next(w.t, "refused", p.Callback, completer.ErrRefused)
	w.wantState(p, async.Settled)
	if n := gateway.refused.Load(); ofTheAnswer && n != 1 {
		w.t.Errorf("%d calls were refused, want one", n)
	}
	gateway.code.Store(uint32(codes.OK))
}

func (w *world) deliveredAtLast(p async.Pending[Decision], hooks tellings) {
	w.t.Helper()
	w.none()
	hooks.next(w.t, "delivered", p.Callback, nil)
	if i := w.wantState(p, async.Closed); !i.Delivered {
		w.t.Errorf("the callback tells %+v, want that it was delivered", i)
	}
	hooks.none(w.t)
}
