// Package storetest tests a backend against the contract at [store.Store]. The
// package imports only the standard library and package store, so that a
// backend in any module can use it.
//
// The author of a backend writes one test:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			Features: storetest.Features{Durable: true},
//			Open:     func(t *testing.T) store.Store { … },                  // a new and empty store
//			Reopen:   func(t *testing.T, s store.Store) store.Store { … },   // the same data again
//		})
//	}
//
// The author also writes one fuzz target, which calls [Fuzz] with the same
// harness.
//
// # Checks
//
// Each sentence of the contract has a check. A check is a subtest with a stable
// name, such as Put/StaleVersionConflicts. A check that fails logs its
// sentence, what it expected and what it got. To run one check, or all checks
// of one subject, use go test -run 'TestConformance/Claim'.
//
// The checks run one after the other. Each check opens its own store with
// Harness.Open and closes it. Only the checks of Notifier depend on the clock.
// The other checks pass invented times to Claim, most of them far from now. A
// check that takes more than two minutes fails with the stacks of all
// goroutines. The suite makes about ten thousand writes, most of them from
// eight goroutines at the same time. On a store whose calls take two seconds to
// fail, the suite ends within a minute. On other stores, the suite takes as
// long as its writes.
//
// # Features and hooks
//
// In [Features], a backend declares what it provides beyond the contract. With
// the functions of [Harness], the suite can interrupt and damage the backend:
//
//   - Durable: acknowledged writes exist after Close and Reopen, with their
//     versions and due times, and no version is given again.
//   - Shared: handles from Peer see each other's writes at once, and their
//     compare-and-swaps and claims exclude each other.
//   - Ordered: Claim returns the oldest entries of the whole store first. Without
//     it the suite checks only that no entry starves.
//   - Pager, Counter, Notifier: the optional interfaces of package store.
//   - Break: calls on a store that cannot be reached fail, and never report that
//     an entry is absent, present or at another version.
//   - Lose: a write whose reply is lost took place once, and a write that the
//     backend repeats undoes nothing.
//   - Flap: after a connection was cut during a call and is back, every method
//     works, and no failed write takes effect late.
//   - Corrupt: a damaged entry is ErrCorrupt, and hides no other entry.
//
// A check is skipped with a reason if it needs a feature or a hook that the
// harness lacks. The last line that Run logs has the number of checks that ran,
// and the skipped ones by reason. go test -v shows it.
//
// # Random operations
//
// The checks under Model call the store with random operations and compare each
// answer with that of a map. A check that fails prints its seed. To repeat the
// same operations, set LATCHKEY_SEED to the printed seed.
//
// # What is not checked
//
// The suite does not check that a write survives a loss of power or the loss of a
// server in a fleet, and it does not measure speed.
package storetest
