package storetest

import (
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// Fuzz calls stores from h with operations that the fuzzer makes up. Fuzz
// compares every answer with that of a map, as the checks under Model do. Fuzz
// is for a backend's own fuzz target:
//
//	func FuzzStore(f *testing.F) { storetest.Fuzz(f, harness) }
//
// Every input opens a store, so Fuzz is for backends that open one within
// milliseconds. With Features.Shared, operations use two handles. With
// Features.Durable and without Shared, the store is sometimes reopened. Fuzz
// does not use Break and Corrupt.
func Fuzz(f *testing.F, h Harness) {
	f.Helper()
	if err := h.validate(); err != nil {
		f.Fatalf("storetest: %v", err)
	}
	const steps = 250 // a longer input finds nothing that a shorter one does not find
	for _, program := range fuzzSeeds() {
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		c := newChecker(t, t.Context(), h.Features, h.bind(t))
		c.run(check{
			name: "Fuzz",
			says: "All of the contract that one caller can see.",
			run: func(c *checker) {
				m := &machine{c: c, handles: []store.Store{c.open()}, replay: "the same again: go test -run with the input's name, below"}
				if h.Features.Shared {
					m.handles = append(m.handles, c.peer(m.handles[0]))
				} else {
					m.reopens = h.Features.Durable
				}
				m.run(program, steps)
			},
		})
	})
}

// fuzzSeeds returns the first programs of the fuzzer. Each operation occurs in
// one of them together with the others, so that the fuzzer can vary all of
// them.
func fuzzSeeds() [][]byte {
	const (
		insert, put, putOld, del, delOld, claim, get, list = 0, 2, 6, 7, 8, 9, 12, 15
	)
	return [][]byte{
		{insert, 0, 9, 5, get, 0, insert, 0, 9, 5},                                           // a second insert
		{insert, 0, 9, 5, put, 0, 17, 90, putOld, 0, 6, 9, 5, get, 0},                        // an entry that is replaced, and a stale version
		{insert, 1, 9, 5, del, 1, insert, 1, 9, 5, delOld, 1, 6, putOld, 1, 5, 9, 5, get, 1}, // gone and back
		{insert, 2, 17, 5, claim, 2, 9, 0, claim, 2, 9, 0, claim, 11, 9, 0, list},            // claimed, held, lapsed
		{insert, 3, 9, 5, insert, 4, 9, 5, insert, 5, 8, 5, claim, 9, 3, 3, list},            // one never due
		{insert, 6, 9, 255, put, 6, 9, 0, put, 6, 9, 230, list, 0, get, 6},                   // bodies that grow and shrink
		{insert, 7, 9, 5, list, 0, get, 7, del, 7, list, 4, get, 7},                          // the store is reopened if possible
	}
}
