// Package async finishes Temporal activities from outside the worker.
//
// An activity hands itself over with [Start], which keeps its task token in a
// store and gives the outside a callback ID. Whoever has that ID answers with
// [Open] and a method of [Pending]: from another process, on another day. The
// answer is accepted by the store, checked against the type that the activity
// awaits, and reported to Temporal by the hub's [completer.Completer].
//
// # Caveats
//
// The callback ID lets whoever has it answer. The task token, the outcome and
// the secret of the callback ID are in the store's entries in clear.
//
// An activity ID must not be used twice in one run of a workflow: Temporal
// takes an answer by ID for whichever activity bears it. Latchkey looks before
// it answers by ID, but can't hold the workflow still meanwhile.
//
// An activity of a workflow that is reset is another one, in a new run: it
// asks again, under a new callback ID.
package async
