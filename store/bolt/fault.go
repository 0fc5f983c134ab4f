package bolt

import "runtime/debug"

// guard runs fn, which calls bbolt. guard returns ErrCorrupt, with escaped set,
// for a panic or a memory fault in fn. bbolt trusts its file, so a damaged page
// makes it read outside of the memory map.
//
// The runtime turns faults into panics only in the goroutine that asks for it.
// Therefore guard wraps every call of bbolt in every goroutine. bbolt must not
// start goroutines, as tx.Check does, and as the opening of a file without a
// list of free pages does.
func guard(path string, fn func() error) (err error, escaped bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err, escaped = corrupt(path, "%v", p), true
		}
	}()
	return fn(), false
}
