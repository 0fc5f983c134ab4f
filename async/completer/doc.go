// Package completer reports the outcomes and heartbeats of activities to
// Temporal.
//
// [Completer] is one of Latchkey's three extension interfaces, with store.Store and
// heartbeat.Pump. [New] returns the Completer that uses Temporal's Go SDK, and
// [NewForNamespaces] one for processes that learn their namespaces at run time.
// Package asynctest has a Completer in memory for tests.
//
// # Targets and outcomes
//
// A [Target] is one attempt of an activity, or the activity itself. An
// [Outcome] is the encoded end of a target: a completer sends it unchanged. A
// [Status] is Temporal's state of an activity, and an [End] is the evidence of
// how the activity ended.
//
// # Errors
//
// [ErrOver], [ErrNotStarted], [ErrCancelNotRequested], [ErrRefused] and
// [ErrCallRefused] are definite answers. After any other error the effect of
// the call is unknown, and the call may be repeated.
//
// # Clients that were dialled elsewhere
//
// A library that takes a client.Client must take its client.Options too,
// because the SDK's client reveals neither its namespace nor its converters.
// These options matter if the application sets them: Namespace, DataConverter
// and FailureConverter. The client must be the SDK's own client. New derives
// another client from the given one, and refuses a wrapper.
package completer
