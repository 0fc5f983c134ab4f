package storetest

import (
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// memory returns the harness of the in-memory store, which has nothing that
// could be broken or damaged from outside.
func memory() Harness {
	return Harness{
		Features: Features{Ordered: true, Pager: true, Counter: true, Notifier: true},
		Open:     func(*testing.T) store.Store { return store.NewMemory() },
	}
}

func TestMemory(t *testing.T) { Run(t, memory()) }

func FuzzMemory(f *testing.F) { Fuzz(f, memory()) }

func TestSealedMemory(t *testing.T) { Run(t, Sealed(memory())) }

func TestSealedReference(t *testing.T) { Run(t, Sealed(reference())) }
