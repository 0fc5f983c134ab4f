package answers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/devserver/devtest"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/store"
)

var server devtest.Shared

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := beRole(role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	server.Options.Namespaces = []string{"default", "second"}
	server.Options.DynamicConfig = map[string]any{
		"frontend.WorkflowPauseEnabled":              true, // off by default
		"history.transferProcessorUpdateAckInterval": "1s", // the deletion of an ended run waits for this interval
	}
	os.Exit(server.Main(m))
}

// Decision is the type that the activities await.
type Decision struct {
	Approved bool
	By       string
}

// Other is a type that the activities do not await.
type Other struct{ Amount int }

var approved = Decision{Approved: true, By: "Ann"}

func awaitDecision(ctx workflow.Context, o workflow.ActivityOptions) (Decision, error) {
	return rig.Await[Decision](ctx, o)
}

// world is a rig whose activities call Start.
type world struct {
	*rig.Rig
	t         *testing.T
	store     store.Store
	hub       *async.Hub
	completer *lossy
	asked     chan string // the callback IDs that the external system has received
}

type config struct {
	client       client.Options
	start        async.StartOptions
	register     func(w *world, r worker.Registry)
	hub          func(o *async.Options)
	interceptors []interceptor.WorkerInterceptor
	// during is called in the activity's function.
	during func(ctx context.Context, w *world, p async.Pending[Decision]) error
	// byHand makes first attempts wait without Start, as before Latchkey was
	// used.
	byHand bool
}

func newWorld(t *testing.T, c config) *world {
	t.Helper()
	t.Parallel()
	c.client.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	connection := server.Dial(t, c.client)
	o := c.client
	reporter, err := completer.New(completer.Client{Client: connection, Options: o})
	must(t, err)
	w := &world{t: t, store: store.NewMemory(), completer: &lossy{Completer: reporter}, asked: make(chan string, 100)}
	options := async.Options{
		Store: w.store, Completer: w.completer, DataConverter: o.DataConverter, FailureConverter: o.FailureConverter,
		DeliveryWait: time.Minute, ClaimTime: time.Minute, // the tests check the result of the first try, however busy the machine is
	}
	if c.hub != nil {
		c.hub(&options)
	}
	w.hub, err = async.New(options)
	must(t, err)
	w.Rig = rig.New(t, rig.Options{
		Client: connection, Namespace: o.Namespace, Worker: worker.Options{Interceptors: c.interceptors},
		Function: func(ctx context.Context) (any, error) {
			if c.byHand && activity.GetInfo(ctx).Attempt == 1 {
				return nil, activity.ErrResultPending
			}
			return async.Start(ctx, w.hub, c.start, func(ctx context.Context, p async.Pending[Decision]) error {
				w.asked <- p.ID()
				if c.during != nil {
					return c.during(ctx, w, p)
				}
				return nil
			})
		},
		Register: func(r worker.Registry) {
			r.RegisterWorkflow(awaitDecision)
			if c.register != nil {
				c.register(w, r)
			}
		},
	})
	return w
}

// lossy is a completer that can lose replies and calls.
type lossy struct {
	completer.Completer
	mu    sync.Mutex
	reply func(sent error) error  // replaces the reply of Complete
	lie   func(*completer.Status) // changes the answer of Describe
	away  bool
	deaf  bool // Complete reports that the attempt is over, without a call
	sent  int
	byID  int // number of sent outcomes that name the activity by its ID
}

func (l *lossy) block(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = deaf
}

// misjudge makes Describe return an answer that differs from the server's.
func (l *lossy) misjudge(lie func(*completer.Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
}

func (l *lossy) set(away bool, reply func(sent error) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away, l.reply = away, reply
}

func (l *lossy) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	l.mu.Lock()
	away, deaf, reply := l.away, l.deaf, l.reply
	l.sent++
	if t.TaskToken == nil {
		l.byID++
	}
	l.mu.Unlock()
	if away {
		return errAway
	}
	if deaf {
		return completer.ErrOver
	}
	err := l.Completer.Complete(ctx, t, o)
	if reply != nil {
		return reply(err)
	}
	return err
}

func (l *lossy) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	l.mu.Lock()
	away, lie := l.away, l.lie
	l.mu.Unlock()
	if away {
		return completer.Status{}, errAway
	}
	status, err := l.Completer.Describe(ctx, t, mark)
	if err == nil && lie != nil {
		lie(&status)
	}
	return status, err
}

func (l *lossy) Heartbeat(ctx context.Context, t completer.Target, d *commonpb.Payloads) (completer.Signals, error) {
	return l.Completer.Heartbeat(ctx, t, d)
}

var (
	errAway = errors.New("server away")
	errLost = errors.New("reply lost")
)

func lose(error) error { return errLost }

// next returns the next callback ID that the external system receives, as a
// Pending.
func (w *world) next() async.Pending[Decision] {
	w.t.Helper()
	select {
	case id := <-w.asked:
		return w.open(id)
	case <-w.Context().Done():
		w.t.Fatal("nobody was asked")
		return async.Pending[Decision]{}
	}
}

func (w *world) open(id string) async.Pending[Decision] {
	w.t.Helper()
	p, err := async.Open[Decision](w.Context(), w.hub, id)
	must(w.t, err)
	return p
}

// none fails the test if the external system got another request.
func (w *world) none() {
	w.t.Helper()
	select {
	case <-w.asked:
		w.t.Error("the outside was asked again")
	default:
	}
}

// wantState checks the state of the callback.
func (w *world) wantState(p async.Pending[Decision], want async.State) async.Info {
	w.t.Helper()
	info := w.open(p.ID()).Info()
	if info.State != want {
		w.t.Errorf("the callback is %v (last error %q, end %v), want %v", info.State, info.LastError, info.End, want)
	}
	return info
}

// wantResult waits for the workflow, and compares its result.
func (w *world) wantResult(run client.WorkflowRun, want Decision) {
	w.t.Helper()
	var got Decision
	if err := run.Get(w.Context(), &got); err != nil || got != want {
		w.t.Errorf("the workflow read %.200v, %v, want %.200v", got, err, want)
	}
}

// wantPending checks that the activity continues at this attempt.
func (w *world) wantPending(run client.WorkflowRun, attempt int32) {
	w.t.Helper()
	if p := w.Pending(run); p == nil || p.GetAttempt() != attempt {
		w.t.Errorf("pending is %v, want attempt %d", p, attempt)
	}
}

func patient() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Hour},
	}
}

// quick returns options with which a failed attempt is retried at once.
func quick() workflow.ActivityOptions {
	o := patient()
	o.RetryPolicy = &temporal.RetryPolicy{InitialInterval: time.Millisecond, BackoffCoefficient: 1}
	return o
}

// soon is a deadline that passes within a test. soon leaves the test enough
// time on a busy machine.
const soon = 15 * time.Second

// brief is the timeout of an attempt that times out within a test. On a busy
// machine, Start may take a second.
const brief = 4 * time.Second

// expiring returns options with which each attempt times out after brief and is
// retried at once.
func expiring() workflow.ActivityOptions {
	o := quick()
	o.StartToCloseTimeout = brief
	return o
}

// asFailed returns the application error with which a workflow's activity
// failed.
func asFailed(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	if _, ok := errors.AsType[*temporal.ActivityError](err); !ok {
		t.Fatalf("the workflow got %T %v, want an activity's error", err, err)
	}
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok {
		t.Fatalf("the workflow got %v, want an application error in it", err)
	}
	return app
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func wantErr(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("the error is %v, want one that is %v", err, w)
		}
	}
}

// await runs an activity that the test registers under this name.
func await(ctx workflow.Context, o workflow.ActivityOptions, name string) workflow.Future {
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), name)
}
