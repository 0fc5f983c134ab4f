// Package answers tests how Latchkey behaves on a real Temporal server: for each
// fact in package facts, and for everything that can happen to a waiting activity.
package answers
