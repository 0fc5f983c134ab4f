// Package kill tests that no accepted answer is lost when processes on one store
// are killed: a worker, a process that accepts callbacks, and one that delivers.
package kill
