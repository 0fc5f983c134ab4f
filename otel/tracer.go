package otel

import (
	"context"
	"errors"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
)

// Tracer returns a tracer for interceptor.NewTracingInterceptor. The returned
// tracer does not mark the span of a waiting activity as an error. Temporal's
// contrib packages mark the span, because they treat activity.ErrResultPending
// as an error. Pass the tracer of go.temporal.io/sdk/contrib/opentelemetry to
// Tracer. Tracer panics if t is nil.
func Tracer(t interceptor.Tracer) interceptor.Tracer {
	if t == nil {
		panic("otel: Tracer needs a tracer, got nil")
	}
	return tracer{t}
}

type tracer struct{ interceptor.Tracer }

// span is a span of the wrapped tracer.
type span struct{ interceptor.TracerSpan }

// Finish ends the span. Finish drops the error of a waiting activity.
func (s span) Finish(o *interceptor.TracerFinishSpanOptions) {
	if errors.Is(o.Error, activity.ErrResultPending) {
		o = &interceptor.TracerFinishSpanOptions{}
	}
	s.TracerSpan.Finish(o)
}

// StartSpan starts a span of the wrapped tracer.
func (t tracer) StartSpan(o *interceptor.TracerStartSpanOptions) (interceptor.TracerSpan, error) {
	below := *o
	below.Parent = under(o.Parent)
	s, err := t.Tracer.StartSpan(&below)
	if err != nil || s == nil {
		return s, err
	}
	return span{s}, nil
}

// MarshalSpan serializes a span, as the wrapped tracer does. The methods below also
// call the wrapped tracer.
func (t tracer) MarshalSpan(s interceptor.TracerSpan) (map[string]string, error) {
	return t.Tracer.MarshalSpan(spanUnder(s))
}

// ContextWithSpan sets the span of the wrapped tracer.
func (t tracer) ContextWithSpan(ctx context.Context, s interceptor.TracerSpan) context.Context {
	return t.Tracer.ContextWithSpan(ctx, spanUnder(s))
}

// GetLogger returns the logger of the wrapped tracer.
func (t tracer) GetLogger(l log.Logger, ref interceptor.TracerSpanRef) log.Logger {
	return t.Tracer.GetLogger(l, under(ref))
}

// SpanName returns the wrapped tracer's name for the span.
func (t tracer) SpanName(o *interceptor.TracerStartSpanOptions) string {
	below := *o
	below.Parent = under(o.Parent)
	return t.Tracer.SpanName(&below)
}

func under(ref interceptor.TracerSpanRef) interceptor.TracerSpanRef {
	if s, ours := ref.(span); ours {
		return s.TracerSpan
	}
	return ref
}

func spanUnder(s interceptor.TracerSpan) interceptor.TracerSpan {
	if ours, is := s.(span); is {
		return ours.TracerSpan
	}
	return s
}
