package otel_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.temporal.io/sdk/activity"
	temporalotel "go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/otel"
	"github.com/latchkey-go/latchkey/store"
)

// Decision is the result type of the activity.
type Decision struct{ Approved bool }

// process is a process with a hub and an OpenTelemetry SDK of its own.
type process struct {
	t        *testing.T
	hub      *async.Hub
	temporal *asynctest.Completer
	spans    *tracetest.InMemoryExporter
	open     openSpans
	tracer   *sdktrace.TracerProvider
	meters   *metric.MeterProvider
	reader   *metric.ManualReader
}

// openSpans counts the spans that have begun and have not ended. The exporter
// cannot count them, because it sees a span only when the span ends.
type openSpans struct {
	mu    sync.Mutex
	names map[string]int
	begun int
}

func (o *openSpans) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) { o.count(s.Name(), 1) }
func (o *openSpans) OnEnd(s sdktrace.ReadOnlySpan)                       { o.count(s.Name(), -1) }
func (o *openSpans) Shutdown(context.Context) error                      { return nil }
func (o *openSpans) ForceFlush(context.Context) error                    { return nil }

func (o *openSpans) count(name string, by int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.names == nil {
		o.names = make(map[string]int)
	}
	if o.names[name] += by; o.names[name] == 0 {
		delete(o.names, name)
	}
	o.begun += max(0, by)
}

// wantNoOpenSpan checks that at least n spans have begun, and that all have
// ended.
func (p *process) wantNoOpenSpan(n int) {
	p.t.Helper()
	p.open.mu.Lock()
	defer p.open.mu.Unlock()
	if len(p.open.names) > 0 || p.open.begun < n {
		p.t.Errorf("%d spans have begun, want at least %d; open are %v", p.open.begun, n, p.open.names)
	}
}

func newProcess(t *testing.T, shared store.Store, delivers bool, change ...func(*async.Options)) *process {
	t.Helper()
	p := &process{t: t, spans: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader(), temporal: new(asynctest.Completer)}
	p.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(p.spans), sdktrace.WithSpanProcessor(&p.open))
	p.meters = metric.NewMeterProvider(metric.WithReader(p.reader))
	observer, err := otel.New(otel.Options{TracerProvider: p.tracer, MeterProvider: p.meters})
	if err != nil {
		t.Fatal(err)
	}
	o := async.Options{Store: shared, Observer: observer, DeliveryWait: time.Minute}
	if delivers {
		o.Completer = finding{p.temporal}
	}
	for _, c := range change {
		c(&o)
	}
	if p.hub, err = async.New(o); err != nil {
		t.Fatal(err)
	}
	return p
}

// finding is a fake of Temporal that finds every activity to be adopted.
type finding struct{ *asynctest.Completer }

func (finding) Find(_ context.Context, t completer.Target) (completer.Found, error) {
	now := time.Now()
	t.WorkflowType, t.ActivityType, t.TaskQueue, t.RunID = "Expense", "Approve", "expenses", "run-1"
	t.Scheduled, t.Started = now, now
	return completer.Found{
		Target: t, Attempt: 1, HeartbeatTimeout: 30 * time.Second, Deadline: now.Add(100 * 24 * time.Hour),
		Status: completer.Status{Pending: true, Running: true, Started: now},
	}, nil
}

// run runs an activity that calls Start, under SDK contrib's tracing, and
// returns the callback ID.
func (p *process) run(own bool) (id string) {
	p.t.Helper()
	id, err := p.runWith(own, func() error { return nil })
	if !errors.Is(err, activity.ErrResultPending) {
		p.t.Fatalf("the activity returned %v", err)
	}
	return id
}

// runWith is like run, but the function that Start calls returns the error of
// f.
func (p *process) runWith(own bool, f func() error) (id string, err error) {
	p.t.Helper()
	tracer, err := temporalotel.NewTracer(temporalotel.TracerOptions{Tracer: p.tracer.Tracer("temporal")})
	if err != nil {
		p.t.Fatal(err)
	}
	if own {
		tracer = otel.Tracer(tracer)
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{interceptor.NewTracingInterceptor(tracer)}})
	approve := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, p.hub, async.StartOptions{}, func(_ context.Context, pending async.Pending[Decision]) error {
			id = pending.ID()
			return f()
		})
	}
	env.RegisterActivityWithOptions(approve, activity.RegisterOptions{Name: "Approve"})
	_, err = env.ExecuteActivity("Approve")
	return id, err
}

func (p *process) span(name string) tracetest.SpanStub {
	p.t.Helper()
	var names []string
	for _, s := range p.spans.GetSpans() {
		if s.Name == name {
			return s
		}
		names = append(names, s.Name)
	}
	p.t.Fatalf("there is no span %s among %v", name, names)
	return tracetest.SpanStub{}
}

// histogram returns the data points of a histogram.
func (p *process) histogram(name string) []metricdata.HistogramDataPoint[float64] {
	p.t.Helper()
	for _, m := range p.collect() {
		if m.Name == name {
			return m.Data.(metricdata.Histogram[float64]).DataPoints
		}
	}
	return nil
}

func (p *process) collect() (all []metricdata.Metrics) {
	p.t.Helper()
	var data metricdata.ResourceMetrics
	if err := p.reader.Collect(p.t.Context(), &data); err != nil {
		p.t.Fatal(err)
	}
	for _, scope := range data.ScopeMetrics {
		all = append(all, scope.Metrics...)
	}
	return all
}
