package bolt

import "runtime/debug"

// guard runs fn, which calls bbolt. It returns a panic or a memory fault in fn as
// ErrCorrupt, with escaped set: bbolt trusts its file, so a damaged page makes it
// read outside of the memory map.
//
// The runtime turns faults into panics only in the goroutine that asks for it. So
// guard wraps every call of bbolt in every goroutine, and bbolt must not start
// goroutines: tx.Check does, and reading a file without a list of free pages does.
func guard(path string, fn func() error) (err error, escaped bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err, escaped = corrupt(path, "%v", p), true
		}
	}()
	return fn(), false
}
