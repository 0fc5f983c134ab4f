// Package answers tests Latchkey against a real Temporal server: what it makes
// of each of the facts that package facts pins, and of what can befall an
// activity while it waits.
package answers
