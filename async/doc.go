// Package async completes Temporal activities from outside the worker.
//
// # Overview
//
// An activity calls [Start]. Start stores the activity's task token and runs a
// function, which sends a short callback ID to an external system. Then the
// activity returns, and no goroutine waits. The external system, or a handler
// that it calls, passes the callback ID to [Open] and answers with a method of
// [Pending]: Complete, Fail, Reject or ReportCanceled. The answer can come in
// another process and on another day.
//
// The answer is checked against the type that the activity awaits, and stored.
// A [Hub] delivers the answer to Temporal through a [completer.Completer], and
// retries until Temporal has accepted it.
//
// # Types
//
//   - [Hub] starts, opens and delivers. [New] creates one from [Options];
//     [Hub.Run] delivers, heartbeats and calls [Hooks].
//   - [Pending] is a waiting activity whose result type is known; [Callback] is
//     one whose type is not. [Info] describes a callback for operators.
//   - [StartOptions] and [KeyOptions] configure one activity. [OpenKey] finds
//     an activity by a business key.
//   - [None] is the result of an activity that returns only an error.
//   - [Adopt] registers a waiting activity that did not call Start.
//   - [Note] is an entry in the journal of a waiting activity: a vote, a comment,
//     or the reason of an operator.
//   - [Query] and [Stats] show operators what waits. [Observer] and [Metrics]
//     report what hubs do.
//   - [Interceptor] keeps other interceptors from wrapping what Start returns.
//
// # Errors
//
// Methods return errors that wrap one of the variables of this package: use
// errors.Is. Each variable says whether the answer was accepted. After any
// other error the outcome is unknown; retry with the same value.
//
// # Caveats
//
// Anyone who has a callback ID can answer with it. The entries of a store
// contain the task token, the outcome and the secret of the callback ID in
// clear, unless the store is sealed.
//
// Do not use an activity ID twice in one run of a workflow. A delivery by ID
// reaches whichever activity has that ID at that time. Latchkey checks the
// activity before it answers by ID, but the workflow can continue between the
// check and the answer.
//
// After a workflow reset, an activity runs as a different activity in a new
// run. The new activity asks again under a new callback ID.
package async
