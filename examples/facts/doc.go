// Package facts tests the behavior of the Temporal server and the bare SDK for
// activities that a client completes. Latchkey's rules rely on these facts, so
// a test in this package fails if a new server changes one of them.
//
// The package has tests only.
package facts
