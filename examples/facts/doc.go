// Package facts pins what the bare Temporal SDK and server do with activities
// that are completed from outside. Latchkey's rules answer these facts, so a
// server that changes one of them is noticed here.
//
// There is nothing but tests: one for each row of the table in the design.
package facts
