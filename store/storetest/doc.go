// Package storetest tells whether a backend keeps the contract that is written
// at [store.Store]. It needs the standard library only, so that a backend in
// any module can use it.
//
// A backend's author writes one test:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			Features: storetest.Features{Durable: true},
//			Open:     func(t *testing.T) store.Store { … },                  // fresh and empty
//			Reopen:   func(t *testing.T, s store.Store) store.Store { … },   // the same data again
//		})
//	}
//
// and one fuzz target, which calls [Fuzz] with the same harness.
//
// # Checks
//
// Each sentence of the contract has a check, which is a subtest with a stable
// name, such as Put/StaleVersionConflicts. One that fails logs the sentence
// beside what was expected and what came. Run one alone, or those of one
// subject, with go test -run 'TestConformance/Claim'.
//
// The checks run one after the other, each on a store of its own from
// Harness.Open, and close what they opened. They never wait for time to pass:
// every time that they hand to Claim is made up, most of them far from now. A
// check that isn't done after two minutes is taken for one that hangs; it
// fails with the stacks of all goroutines. The suite makes about ten
// thousand writes, the greater part of them from eight goroutines at once.
//
// # Features
//
// What a backend can do beyond the contract it declares in [Features], and
// how the suite gets at it in [Harness]:
//
//   - Durable: what Put acknowledged is there after Close and Reopen, with its
//     versions and dues, and no version is given again.
//   - Shared: handles that Peer opened see each other's writes at once, and
//     their compare-and-swaps and claims exclude each other.
//   - Ordered: Claim is oldest first over the whole store. Without it only
//     that nothing starves is checked.
//   - Break: calls on a store that can't be reached fail, and never answer
//     that an entry is absent, present or at another version.
//   - Lose: a write whose reply is lost took place once, whatever its caller is
//     told, and one that the backend repeats by itself undoes nothing.
//   - Pager, Counter, Notifier: the optional interfaces of package store. The
//     checks of the last are the only ones that go by the clock.
//   - Corrupt: a damaged entry is ErrCorrupt, and hides no other.
//
// A check that needs what the harness doesn't declare is skipped, and says
// why. The last line that Run logs tells how many checks ran, and which were
// skipped for which reason: see it with go test -v.
//
// # Random operations
//
// The checks under Model drive the store with random operations and compare
// each answer with a map's. When one fails it prints its seed. Set
// LATCHKEY_SEED to that number to have the same operations again.
//
// # What is not checked
//
// Whether a write survives the loss of the machine's power, or of a server in
// a fleet; and how fast anything is. What happens when the reply to a write is
// lost is checked only where the harness can lose one.
package storetest
