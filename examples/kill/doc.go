// Package kill tests that no accepted answer is lost, whichever process is
// killed: a worker, a process that takes callbacks, and one that delivers, all
// on one store. People who vote from killed processes have one decision, with the
// names of who decided.
package kill
