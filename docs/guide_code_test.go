package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

type Expense struct{ Purpose string }

type Decision struct {
	Approved bool
	At       time.Time
}

func (Decision) ResultType() string { return "example.com/shop/expenses.Decision" }

type Film struct{ Address string }

type Payment struct{ Cents int64 }

// mailer keeps the last callback ID.
type mailer struct{ id string }

func (m *mailer) Ask(_ context.Context, _ Expense, id string) error {
	m.id = id
	return nil
}

type job struct {
	Crashed  bool
	Progress string
}

type runner struct{ submitted int }

func (r *runner) Submit(context.Context, string, string) (string, error) {
	r.submitted++
	return "job-7", nil
}

func (*runner) Status(_ context.Context, reference string) (job, error) {
	return job{Crashed: reference == "job-8", Progress: "40 %"}, nil
}

type Activities struct {
	hub    *async.Hub
	mailer *mailer
	runner *runner
}

func (a *Activities) Approve(ctx context.Context, e Expense) (Decision, error) {
	return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
		return a.mailer.Ask(ctx, e, p.ID())
	})
}

func (a *Activities) Render(ctx context.Context, film string) (Film, error) {
	return async.Start(ctx, a.hub, async.StartOptions{Pump: "job"}, func(ctx context.Context, p async.Pending[Film]) error {
		if p.Reference() != "" {
			return nil // an earlier attempt has submitted the job
		}
		job, err := a.runner.Submit(ctx, film, p.ID())
		if err != nil {
			return err
		}
		return p.Remember(ctx, job)
	})
}

// In an earlier release of the application, Verdict was called Decision, in
// package expenses.
type Verdict struct{ Approved bool }

func (Verdict) ResultType() string { return "example.com/shop/expenses.Decision" }

func newHub(c client.Client, options client.Options, s store.Store) (*async.Hub, error) {
	reporter, err := completer.New(completer.Client{Client: c, Options: options}) // the options with which c was created
	if err != nil {
		return nil, err
	}
	hub, err := async.New(async.Options{Store: s, Completer: reporter})
	return hub, err
}

// tenants finds the client of a namespace.
type tenants struct {
	client  client.Client
	options client.Options
}

func (t tenants) Client(_ context.Context, namespace string) (client.Client, client.Options, error) {
	if namespace != "default" {
		return nil, client.Options{}, fmt.Errorf("%w: not one of ours", completer.ErrRefused)
	}
	return t.client, t.options, nil
}

func newCompleterForTenants(tenants tenants, converter converter.DataConverter) (completer.Completer, error) {
	reporter, err := completer.NewForNamespaces(completer.Options{
		Clients: func(ctx context.Context, namespace string) (completer.Client, error) {
			c, options, err := tenants.Client(ctx, namespace)
			return completer.Client{Client: c, Options: options}, err
		},
		DataConverter: converter, // the converter of all clients
	})
	return reporter, err
}

func run(ctx context.Context, hub *async.Hub) error {
	err := hub.Run(ctx)
	return err
}

func newWorker(c client.Client, tracing interceptor.WorkerInterceptor) worker.Worker {
	w := worker.New(c, "expenses", worker.Options{
		Interceptors: []interceptor.WorkerInterceptor{async.Interceptor(), tracing},
	})
	return w
}

func answer(ctx context.Context, hub *async.Hub, id string) error {
	p, err := async.Open[Decision](ctx, hub, id)
	if err != nil {
		return err
	}
	return p.Complete(ctx, Decision{Approved: true})
}

func answerStamped(ctx context.Context, p async.Pending[Decision], messageID string) (err error) {
	err = p.Complete(async.WithIdempotencyKey(ctx, messageID), Decision{Approved: true, At: time.Now()})
	return err
}

func pay(ctx context.Context, hub *async.Hub) error {
	p, err := async.OpenKey[Payment](ctx, hub, "order-7", async.KeyOptions{Namespace: "default", Early: time.Hour})
	if err != nil {
		return err
	}
	return p.Complete(ctx, Payment{Cents: 4200})
}

func newHubWithPump(s store.Store, reporter completer.Completer, runner *runner) (*async.Hub, error) {
	hub, err := async.New(async.Options{Store: s, Completer: reporter, Pumps: map[string]heartbeat.Pump{
		"job": heartbeat.Probe(func(ctx context.Context, a heartbeat.Activity) (any, error) {
			job, err := runner.Status(ctx, a.Reference)
			if err == nil && job.Crashed {
				return nil, heartbeat.ErrDead
			}
			return job.Progress, err
		}, heartbeat.ProbeOptions{}),
	}})
	return hub, err
}

func newHooks(cancelJob func(context.Context, string) error, page func(async.Info) error) async.Hooks {
	hooks := async.Hooks{
		Delivered: func(ctx context.Context, c async.Callback) error { return nil },
		Over:      func(ctx context.Context, c async.Callback, reason error) error { return cancelJob(ctx, c.Reference()) },
		Refused:   func(ctx context.Context, c async.Callback, cause error) error { return page(c.Info()) },

		CancelRequested: func(ctx context.Context, c async.Callback) error { return cancelJob(ctx, c.Reference()) },
	}
	return hooks
}

func listFailing(ctx context.Context, hub *async.Hub) error {
	q := async.Query{State: async.Settled, Failing: true, Limit: 100}
	for {
		page, err := hub.Page(ctx, q)
		if err != nil {
			return err
		}
		for _, c := range page.Callbacks {
			fmt.Println(c, c.Info().ActivityType, c.Info().Class)
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

type tenantFailures struct {
	converter.FailureConverter
	data converter.DataConverter
}

func (f tenantFailures) WithContext(ctx context.Context) converter.FailureConverter {
	data := f.data.(workflow.ContextAware).WithContext(ctx)
	return temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: true})
}

// tenantData is a data converter that uses the context of the call.
type tenantData struct{ converter.DataConverter }

func (d tenantData) WithContext(context.Context) converter.DataConverter { return d.DataConverter }

func (d tenantData) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return d.DataConverter
}

// activityEnvironment runs activities as a worker does, without a server.
func activityEnvironment(a *Activities) *testsuite.TestActivityEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	return env
}

func TestGuideHub(t *testing.T) {
	options := client.Options{HostPort: "127.0.0.1:1"}
	c, err := client.NewLazyClient(options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := store.NewMemory()
	hub, err := newHub(c, options, s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, hub); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want the context's error", err)
	}
	reporter, err := newCompleterForTenants(tenants{c, options}, converter.GetDefaultDataConverter())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reporter.Describe(t.Context(), completer.Target{Namespace: "another"}, ""); !errors.Is(err, completer.ErrRefused) {
		t.Errorf("a namespace that is not served: %v, want completer.ErrRefused", err)
	}
	if newWorker(c, &interceptor.WorkerInterceptorBase{}) == nil {
		t.Error("no worker")
	}
}

func TestGuideAnswers(t *testing.T) {
	ctx := t.Context()
	temporal := new(asynctest.Completer)
	runner, mailer := new(runner), new(mailer)
	hub, err := newHubWithPump(store.NewMemory(), temporal, runner)
	if err != nil {
		t.Fatal(err)
	}
	a := &Activities{hub: hub, mailer: mailer, runner: runner}
	env := activityEnvironment(a)
	if _, err := env.ExecuteActivity(a.Approve, Expense{Purpose: "train ticket"}); err != activity.ErrResultPending {
		t.Fatalf("Approve: %v, want activity.ErrResultPending", err)
	}
	if _, err := async.Open[Verdict](ctx, hub, mailer.id); err != nil {
		t.Errorf("the renamed type: %v", err)
	}
	if err := answer(ctx, hub, mailer.id); err != nil {
		t.Errorf("answer: %v", err)
	}
	if err := answer(ctx, hub, mailer.id); err != nil {
		t.Errorf("the same answer again: %v", err)
	}
	if err := pay(ctx, hub); err != nil {
		t.Errorf("an early payment: %v", err)
	}
	if n := len(temporal.Completed()); n != 1 {
		t.Errorf("%d outcomes were delivered, want 1", n)
	}
	if err := listFailing(ctx, hub); err != nil {
		t.Errorf("a page of failing callbacks: %v", err)
	}
}

func TestGuideRepeats(t *testing.T) {
	hub := asynctest.NewHub(t, async.Options{})
	mailer := new(mailer)
	a := &Activities{hub: hub, mailer: mailer}
	if _, err := activityEnvironment(a).ExecuteActivity(a.Approve, Expense{}); err != activity.ErrResultPending {
		t.Fatalf("Approve: %v, want activity.ErrResultPending", err)
	}
	p, err := async.Open[Decision](t.Context(), hub, mailer.id)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := answerStamped(t.Context(), p, "message-42"); err != nil {
			t.Errorf("an answer with an idempotency key: %v", err)
		}
	}
}

func TestGuideReference(t *testing.T) {
	hub := asynctest.NewHub(t, async.Options{Pumps: map[string]heartbeat.Pump{"job": heartbeat.Relay(heartbeat.RelayOptions{})}})
	runner := new(runner)
	a := &Activities{hub: hub, runner: runner}
	if _, err := activityEnvironment(a).ExecuteActivity(a.Render, "intro.mov"); err != activity.ErrResultPending {
		t.Fatalf("Render: %v, want activity.ErrResultPending", err)
	}
	waiting := asynctest.Pending(t, hub)
	if len(waiting) != 1 || waiting[0].Reference() != "job-7" || runner.submitted != 1 {
		t.Errorf("%d activities wait and %d jobs were submitted, want one of each, with its reference", len(waiting), runner.submitted)
	}
}

func TestGuideHooks(t *testing.T) {
	cancelled := ""
	hooks := newHooks(func(_ context.Context, job string) error { cancelled = job; return nil }, func(async.Info) error { return nil })
	hub := asynctest.NewHub(t, async.Options{Hooks: hooks, Pumps: map[string]heartbeat.Pump{"job": heartbeat.Relay(heartbeat.RelayOptions{})}})
	a := &Activities{hub: hub, runner: new(runner)}
	if _, err := activityEnvironment(a).ExecuteActivity(a.Render, "intro.mov"); err != activity.ErrResultPending {
		t.Fatalf("Render: %v, want activity.ErrResultPending", err)
	}
	if err := asynctest.Pending(t, hub)[0].Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cancelled != "job-7" {
		t.Errorf("the hook cancelled %q, want job-7", cancelled)
	}
}

func TestGuideFailureConverter(t *testing.T) {
	data := tenantData{converter.GetDefaultDataConverter()}
	failures := tenantFailures{temporal.GetDefaultFailureConverter(), data}
	failure := failures.WithContext(t.Context()).ErrorToFailure(errors.New("declined"))
	if failure.GetMessage() != "Encoded failure" || failure.GetEncodedAttributes() == nil {
		t.Errorf("got %v, want encoded attributes", failure)
	}
}
