package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// reporter is the part of testing.T that a check uses. The suite's own tests
// pass a reporter that only records, to see that a wrong store fails.
type reporter interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}

// checker runs one check.
type checker struct {
	ctx      context.Context
	features Features
	backend  backend
	seed     uint64
	patience time.Duration

	t       *guarded
	closers []func() // called in reverse order
}

func newChecker(t reporter, ctx context.Context, f Features, b backend) *checker {
	return &checker{ctx: ctx, features: f, backend: b, patience: patience, t: &guarded{to: t}}
}

// guarded passes on the reports of a check until the suite gives up the check.
// A testing.T panics on reports after its test has ended, so the lock is held
// during the report.
type guarded struct {
	to reporter

	mu      sync.Mutex
	failed  bool
	givenUp bool
}

func (g *guarded) errorf(format string, args ...any) {
	g.to.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = true
	if !g.givenUp {
		g.to.Errorf(format, args...)
	}
}

// run runs k in a goroutine of its own, so that a hanging store fails one check
// and not the whole binary. A panic of the check is also a failure.
func (c *checker) run(k check) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		debug.SetPanicOnFault(true) // see shielded
		defer c.closeAll()
		defer func() {
			if r := recover(); r != nil {
				c.errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		k.run(c)
	}()
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		stacks := make([]byte, 1<<16)
		stacks = stacks[:runtime.Stack(stacks, true)]
		c.errorf("not done after %v: a call of the store hangs\n%s", c.patience, stacks)
	}
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.t.givenUp = true
	if c.t.failed {
		c.t.to.Logf("contract: %s", k.says)
	}
}

// closeAll closes what the check opened, in reverse order.
func (c *checker) closeAll() {
	defer func() {
		if r := recover(); r != nil {
			c.errorf("panic in Close: %v\n%s", r, debug.Stack())
		}
	}()
	for len(c.closers) > 0 {
		last := c.closers[len(c.closers)-1]
		c.closers = c.closers[:len(c.closers)-1]
		last()
	}
}

// errorf reports a failure and continues. Any goroutine may call errorf.
func (c *checker) errorf(format string, args ...any) {
	c.t.to.Helper()
	c.t.errorf(format, args...)
}

// fatalf reports a failure and ends the check. Only the check's own goroutine
// may call fatalf, as with testing.T. Other goroutines return errors to the
// method each.
func (c *checker) fatalf(format string, args ...any) {
	c.t.to.Helper()
	c.t.errorf(format, args...)
	runtime.Goexit()
}

// open returns a new store, which is closed when the check ends.
func (c *checker) open() store.Store {
	c.t.to.Helper()
	return c.adopt(c.backend.open(), "Open")
}

// reopen closes s and opens its data again.
func (c *checker) reopen(s store.Store) store.Store {
	c.t.to.Helper()
	c.close(s)
	return c.adopt(c.backend.reopen(s), "Reopen")
}

// peer returns a second handle to the data of s.
func (c *checker) peer(s store.Store) store.Store {
	c.t.to.Helper()
	return c.adopt(c.backend.peer(s), "Peer")
}

func (c *checker) adopt(s store.Store, from string) store.Store {
	c.t.to.Helper()
	if s == nil {
		c.fatalf("Harness.%s returned nil, want a store", from)
	}
	c.closers = append(c.closers, func() { c.close(s) })
	return s
}

func (c *checker) close(s store.Store) {
	c.t.to.Helper()
	if err := s.Close(); err != nil {
		c.errorf("Close: got %v, want nil", err)
	}
}

// each runs f in n goroutines and waits for all of them. each ends the check if
// one of them returned an error.
func (c *checker) each(n int, f func(i int) error) {
	c.t.to.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = c.shielded(func() error { return f(i) }) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		c.fatalf("%v", err)
	}
}

// shielded returns a panic as an error, because a panic in a goroutine would
// end the process. shielded does the same for a fault: reading a body that
// points into a file causes a fault if the file was remapped in the meantime.
func (c *checker) shielded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}
