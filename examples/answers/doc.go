// Package answers tests how Latchkey behaves on a real Temporal server. The
// tests cover each fact in package facts, and every event that can happen to a
// waiting activity.
package answers
