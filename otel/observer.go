package otel

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/async"
)

// name is the name of the tracer and of the meter.
const name = "github.com/latchkey-go/latchkey/otel"

// Options configures [New]. The zero value is valid.
type Options struct {
	// TracerProvider makes the tracer. The span processors of TracerProvider
	// must not block: use a batch processor. Defaults to
	// otel.GetTracerProvider.
	TracerProvider trace.TracerProvider

	// MeterProvider makes the instruments. Defaults to otel.GetMeterProvider.
	MeterProvider metric.MeterProvider

	// NoGauges leaves out latchkey.entries and latchkey.oldest. For these
	// gauges, a running hub scans the store once per async.Options.StatsAge.
	// Defaults to false.
	NoGauges bool
}

// New returns an observer for async.Options.Observer. Use one observer for all
// hubs of a process. New returns an error if the meter provider refuses an
// instrument.
func New(o Options) (async.Observer, error) {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	m, err := newInstruments(o.MeterProvider.Meter(name))
	if err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	plain := &observer{tracer: o.TracerProvider.Tracer(name), instruments: m}
	if o.NoGauges {
		return plain, nil
	}
	g, err := newGauges(o.MeterProvider.Meter(name))
	if err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	return &withGauges{observer: plain, gauges: g}, nil
}

// observer implements async.Observer.
type observer struct {
	tracer      trace.Tracer
	instruments *instruments
}

// withGauges also implements async.StatsObserver.
type withGauges struct {
	*observer
	*gauges
}

// Blocks implements async.Blocker.
func (*observer) Blocks() bool { return false }

// Keys of the values that are kept with a round.
const (
	handOffKey = "traceparent"
	settleKey  = "settle.traceparent"
)

// Begin implements async.Observer.
func (b *observer) Begin(ctx context.Context, o async.Operation) (context.Context, func(async.Done)) {
	begun := time.Now()
	switch o.Op {
	case async.OpHandOff:
		ctx, span := b.start(ctx, "latchkey.handoff", trace.SpanKindProducer, o)
		carry(ctx, o.Carry, handOffKey)
		return ctx, func(d async.Done) {
			b.instruments.handOff(ctx, o, d)
			end(span, d, d.Class == "asked" || d.Class == "not run")
		}
	case async.OpSettle:
		ctx, span := b.start(ctx, "latchkey.settle", trace.SpanKindConsumer, o, handOffKey)
		carry(ctx, o.Carry, settleKey)
		return ctx, func(d async.Done) {
			b.instruments.settle(ctx, o, d)
			end(span, d, d.Class != "unknown")
		}
	case async.OpDeliver:
		ctx, span := b.start(ctx, "latchkey.deliver", trace.SpanKindClient, o, handOffKey, settleKey)
		return ctx, func(d async.Done) {
			b.instruments.deliver(ctx, o, d)
			end(span, d, d.Class == async.ClassDelivered)
		}
	}
	return ctx, func(d async.Done) { b.instruments.other(ctx, o, d, time.Since(begun)) }
}

// start starts a span. For each key of links, the span links to the span that
// o.Carry holds under this key, if there is one.
func (b *observer) start(ctx context.Context, name string, kind trace.SpanKind, o async.Operation, links ...string) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes(o.Info)...)}
	if o.Detail != "" {
		options = append(options, trace.WithAttributes(attribute.String("latchkey.kind", o.Detail)))
	}
	for _, key := range links {
		if to := kept(o.Carry, key); to.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: to, Attributes: []attribute.KeyValue{attribute.String("latchkey.link", linkName(key))}}))
		}
	}
	return b.tracer.Start(ctx, name, options...)
}

func linkName(key string) string {
	if key == settleKey {
		return "settle"
	}
	return "handoff"
}

// attributes returns attributes that name an activity. Spans may contain IDs.
func attributes(i async.Info) []attribute.KeyValue {
	var all []attribute.KeyValue
	for _, a := range [][2]string{
		{"temporalNamespace", i.Namespace}, {"temporalWorkflowID", i.WorkflowID}, {"temporalRunID", i.RunID},
		{"temporalActivityID", i.ActivityID}, {"temporalActivityType", i.ActivityType}, {"latchkey.result_type", i.ResultType}, {"latchkey.entry", i.ID},
	} {
		if a[1] != "" {
			all = append(all, attribute.String(a[0], a[1]))
		}
	}
	if i.Attempt > 0 {
		all = append(all, attribute.Int("temporalAttempt", int(i.Attempt)))
	}
	return all
}

// end ends a span.
func end(span trace.Span, d async.Done, ok bool) {
	span.SetAttributes(attribute.String("latchkey.class", d.Class))
	if d.Count > 0 {
		span.SetAttributes(attribute.Int("latchkey.tries", d.Count))
	}
	if d.Lag > 0 {
		span.SetAttributes(attribute.Float64("latchkey.lag", d.Lag.Seconds()))
	}
	if !ok {
		span.SetStatus(codes.Error, d.Class)
	}
	span.End()
}

// carry stores the context's span in the map, in the form in which it is kept
// for later processes. Without a span, carry removes the key.
func carry(ctx context.Context, to map[string]string, key string) {
	if to == nil {
		return
	}
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	if parent := c.Get("traceparent"); parent != "" {
		to[key] = parent
	} else {
		delete(to, key)
	}
}

// kept returns the span that was kept under a key.
func kept(from map[string]string, key string) trace.SpanContext {
	c := propagation.MapCarrier{"traceparent": from[key]}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), c))
}
