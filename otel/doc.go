// Package otel observes hubs with OpenTelemetry metrics and traces. The traces
// link an activity to its answer, perhaps days later, and to the delivery.
//
//	observer, err := otel.New(otel.Options{})
//	hub, err := async.New(async.Options{Observer: observer, …})
//
// The package is a module of its own and imports only the API packages of
// OpenTelemetry. The application chooses the SDK, its exporters and its
// sampler. The module needs Temporal's Go SDK 1.50.0 or newer, which is a newer
// version than the root module needs.
//
// # Metrics
//
// docs/observability.md lists the instruments. Gauges come from Hub.Stats. In a
// large fleet, set [Options].NoGauges on all but a few replicas.
//
// # Spans
//
//   - latchkey.handoff is one call of async.Start: a child of the activity's span.
//   - latchkey.settle is the acceptance of an outcome: a child of the span of its
//     caller, such as an HTTP request, with a link to the hand-off.
//   - latchkey.deliver is one attempt to report the outcome to Temporal, with links
//     to the hand-off and to the acceptance.
//
// No span is open while an activity waits, so each is exported within seconds.
// The entry keeps a W3C traceparent for the links. Spans have the activity's
// IDs as attributes; metrics do not.
//
// # Temporal's tracing interceptor
//
// Temporal's tracing interceptor marks the span of a waiting activity as an
// error. [Tracer] prevents that.
package otel
