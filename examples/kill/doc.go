// Package kill tests that no accepted answer is lost, whichever process is
// killed: a worker, a process that accepts callbacks, or one that delivers. All
// processes share one store. If people vote in processes that are killed, there
// is one decision, with the names of the deciders.
package kill
