// Package otel observes hubs with OpenTelemetry: traces that reach from an
// activity to the answer days later and its delivery, and metrics.
//
//	observer, err := otel.New(otel.Options{})
//	hub, err := async.New(async.Options{Observer: observer, …})
//
// It is a module of its own and imports the API packages of OpenTelemetry only.
// The application chooses the SDK, its exporters and its sampler.
//
// # Spans
//
//   - latchkey.handoff is one call of async.Start: a child of the activity's span.
//   - latchkey.settle is the acceptance of an outcome: a child of the span of its
//     caller, such as an HTTP request, with a link to the hand-off.
//   - latchkey.deliver is one try to report the outcome to Temporal, with links to
//     the hand-off and to the acceptance.
//
// No span is open while an activity waits, so each is exported within seconds. The
// links come from the entry: a W3C traceparent is kept with the round. Spans have
// the activity's IDs as attributes; metrics never have.
package otel
