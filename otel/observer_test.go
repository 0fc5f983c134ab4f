package otel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
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
	"github.com/latchkey-go/latchkey/otel"
	"github.com/latchkey-go/latchkey/store"
)

// Decision is the result type of the activity.
type Decision struct{ Approved bool }

// process is a process with a hub and an OpenTelemetry SDK of its own.
type process struct {
	t      *testing.T
	hub    *async.Hub
	spans  *tracetest.InMemoryExporter
	tracer *sdktrace.TracerProvider
	reader *metric.ManualReader
}

func newProcess(t *testing.T, shared store.Store, delivers bool) *process {
	t.Helper()
	p := &process{t: t, spans: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader()}
	p.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(p.spans))
	observer, err := otel.New(otel.Options{TracerProvider: p.tracer, MeterProvider: metric.NewMeterProvider(metric.WithReader(p.reader))})
	if err != nil {
		t.Fatal(err)
	}
	o := async.Options{Store: shared, Observer: observer}
	if delivers {
		o.Completer = new(asynctest.Completer)
	}
	if p.hub, err = async.New(o); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs an activity that calls Start, under SDK contrib's tracing, and
// returns the callback ID.
func (p *process) run(own bool) (id string) {
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
			return nil
		})
	}
	env.RegisterActivityWithOptions(approve, activity.RegisterOptions{Name: "Approve"})
	if _, err := env.ExecuteActivity("Approve"); !errors.Is(err, activity.ErrResultPending) {
		p.t.Fatalf("the activity returned %v", err)
	}
	return id
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

// TestTraceAcrossDaysAndProcesses follows one answer through three processes.
func TestTraceAcrossDaysAndProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := store.NewMemory()
		work, web, deliver := newProcess(t, shared, true), newProcess(t, shared, false), newProcess(t, shared, true)
		id := work.run(true)
		act, handOff := work.span("RunActivity:Approve"), work.span("latchkey.handoff")
		if handOff.Parent.SpanID() != act.SpanContext.SpanID() || handOff.SpanContext.TraceID() != act.SpanContext.TraceID() {
			t.Error("the hand-off is not a child of the activity")
		}
		if act.Status.Code == codes.Error || len(act.Events) > 0 {
			t.Errorf("the span of an activity that waits is %v, with the events %v", act.Status, act.Events)
		}
		if d := handOff.EndTime.Sub(handOff.StartTime); d > time.Second {
			t.Errorf("the hand-off was open for %v", d)
		}
		time.Sleep(72 * time.Hour)

		ctx, request := web.tracer.Tracer("http").Start(t.Context(), "POST /answer")
		pending, err := async.Open[Decision](ctx, web.hub, id)
		if err == nil {
			err = pending.Complete(ctx, Decision{Approved: true})
		}
		request.End()
		if err != nil {
			t.Fatal(err)
		}
		settle := web.span("latchkey.settle")
		if settle.Parent.SpanID() != request.SpanContext().SpanID() {
			t.Error("the acceptance is not a child of the request")
		}
		if len(settle.Links) != 1 || settle.Links[0].SpanContext.SpanID() != handOff.SpanContext.SpanID() || settle.Links[0].SpanContext.TraceID() != act.SpanContext.TraceID() {
			t.Errorf("the acceptance's links are %v", settle.Links)
		}

		if _, err := deliver.hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := deliver.span("latchkey.deliver")
		if len(d.Links) != 2 || d.Links[0].SpanContext.SpanID() != handOff.SpanContext.SpanID() || d.Links[1].SpanContext.SpanID() != settle.SpanContext.SpanID() {
			t.Errorf("the delivery's links are %v", d.Links)
		}
		if d.Status.Code == codes.Error {
			t.Errorf("the delivery is %v", d.Status)
		}
		for _, p := range []*process{work, web, deliver} {
			for _, s := range p.spans.GetSpans() {
				if s.EndTime.IsZero() || s.EndTime.Sub(s.StartTime) > time.Minute {
					t.Errorf("%s was open from %v to %v", s.Name, s.StartTime, s.EndTime)
				}
				for _, a := range s.Attributes {
					if strings.Contains(a.Value.String(), id) {
						t.Errorf("%s shows the callback ID in %s", s.Name, a.Key)
					}
				}
			}
		}
		wait := web.histogram("latchkey.wait")
		if len(wait) != 1 || wait[0].Count != 1 || wait[0].Sum != (72*time.Hour).Seconds() {
			t.Errorf("latchkey.wait is %+v, want 72 h once", wait)
		}
	})
}

// TestContribMarksErrResultPending shows why Tracer is needed.
func TestContribMarksErrResultPending(t *testing.T) {
	p := newProcess(t, store.NewMemory(), true)
	p.run(false)
	if act := p.span("RunActivity:Approve"); act.Status.Code != codes.Error {
		t.Error("SDK contrib no longer marks the span of an activity that waits as an error: Tracer can go")
	}
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

// TestMetricsHaveNoIDs checks every attribute of every instrument, and the
// buckets of people's time.
func TestMetricsHaveNoIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, store.NewMemory(), true)
		id := p.run(true)
		time.Sleep(time.Hour)
		pending, err := async.Open[Decision](t.Context(), p.hub, id)
		if err == nil {
			err = pending.Complete(t.Context(), Decision{})
		}
		if err != nil {
			t.Fatal(err)
		}
		info := pending.Info()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_ = p.hub.Run(ctx) // the gauges need a running hub
		found := make(map[string]bool)
		for _, m := range p.collect() {
			found[m.Name] = true
			var sets []attribute.Set
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
				}
			case metricdata.Gauge[int64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
				}
			case metricdata.Gauge[float64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
				}
			case metricdata.Histogram[float64]:
				for _, point := range d.DataPoints {
					sets = append(sets, point.Attributes)
					if b := point.Bounds; m.Name == "latchkey.wait" && (b[0] != 1 || b[len(b)-1] != (30*24*time.Hour).Seconds()) {
						t.Errorf("the buckets of %s are %v, want 1 s to 30 d", m.Name, b)
					}
				}
			default:
				t.Errorf("%s has data of type %T", m.Name, d)
			}
			for _, set := range sets {
				for _, a := range set.ToSlice() {
					for _, no := range []string{id, info.ID, info.WorkflowID, info.RunID, info.ActivityID} {
						if no != "" && a.Value.String() == no {
							t.Errorf("%s has an ID as %s", m.Name, a.Key)
						}
					}
				}
			}
		}
		for _, want := range []string{"latchkey.asked", "latchkey.answers", "latchkey.wait", "latchkey.outbox", "latchkey.total", "latchkey.delivery.tries", "latchkey.claims", "latchkey.store", "latchkey.entries", "latchkey.oldest", "latchkey.unreadable"} {
			if !found[want] {
				t.Errorf("there is no %s among %s", want, fmt.Sprint(found))
			}
		}
	})
}
