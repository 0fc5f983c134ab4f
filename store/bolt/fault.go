package bolt

import "runtime/debug"

// guard runs fn, which calls bbolt, and returns a panic or a memory fault in
// it as ErrCorrupt, with escaped set: bbolt trusts its file, so a damaged page
// sends it out of its bounds or off the end of the mapping.
//
// Faults are only turned into panics on the goroutine that asks for it, so
// this wraps every call of bbolt on every goroutine, a leader's too. bbolt
// must not be made to start goroutines of its own: tx.Check does, and so does
// the reading of a file without a list of free pages.
func guard(path string, fn func() error) (err error, escaped bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err, escaped = corrupt(path, "%v", p), true
		}
	}()
	return fn(), false
}
