//go:build !unix

package devserver

import "context"

// lock does nothing here. Processes that build at the same time build
// independently, and the program of the last one stays.
func lock(context.Context, string) (unlock func(), err error) {
	return func() {}, nil
}
