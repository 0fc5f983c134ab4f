package storetest_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// A backend needs only this one test. The test is a function of the backend's
// test file, named TestConformance. A durable backend adds Reopen, and a shared
// one Peer.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestConformance(t *testing.T)
		storetest.Run(t, storetest.Harness{
			Features: storetest.Features{Ordered: true},
			Open: func(t *testing.T) store.Store {
				s, err := store.Open(t.Context(), "memory:")
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
		})
	}
}

// The fuzz target is in the backend's test file too.
func ExampleFuzz() {
	_ = func(f *testing.F) { // func FuzzStore(f *testing.F)
		storetest.Fuzz(f, storetest.Harness{
			Features: storetest.Features{Ordered: true},
			Open:     func(*testing.T) store.Store { return store.NewMemory() },
		})
	}
}
