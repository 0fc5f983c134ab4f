package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// calls counts the calls under way, so that Close can wait for them.
type calls struct {
	mu     sync.Mutex
	closed bool
	count  sync.WaitGroup

	ended context.Context // of what goes on behind the calls
	end   func()
}

// begin returns ErrClosed after close. Otherwise the caller ends with
// count.Done.
func (c *calls) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return store.ErrClosed
	}
	c.count.Add(1)
	return nil
}

// close ends ended, waits for the calls under way, and reports whether it is the
// first.
func (c *calls) close() (first bool) {
	c.mu.Lock()
	first = !c.closed
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.count.Wait()
	return first
}

// call runs f where the arguments are valid, the context goes on and the store
// is open. It wraps the error once.
func call[T any](ctx context.Context, c *calls, op, id string, invalid error, f func() (T, error)) (result T, err error) {
	if err = cmp.Or(invalid, ctx.Err()); err == nil {
		if err = c.begin(); err == nil {
			defer c.count.Done()
			result, err = f()
		}
	}
	return result, store.Wrap(op, backend, id, damage(err))
}

// damage adds ErrCorrupt to the errors by which PostgreSQL reports damaged
// files.
func damage(err error) error {
	if code := sqlState(err); code == "XX001" || code == "XX002" {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}

// sqlState returns PostgreSQL's code of an error, or "". The errors of pgx and
// of lib/pq have the method.
func sqlState(err error) string {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState()
	}
	return ""
}

const (
	// maxRetries is how often a statement is sent again that the server has
	// rolled back.
	maxRetries = 30
	// maxPause is the longest pause before that.
	maxPause = 20 * time.Millisecond
)

// retried runs f again where the server has rolled the statement back to
// resolve a conflict: nothing was written then. Sessions under repeatable read
// or serializable meet that; then f sees the writes of others when it is run
// again.
func retried[T any](ctx context.Context, f func() (T, error)) (result T, err error) {
	for range maxRetries {
		result, err = f()
		if code := sqlState(err); code != "40001" && code != "40P01" { // serialization_failure, deadlock_detected
			break
		}
		timer := time.NewTimer(rand.N(maxPause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return result, err
		case <-timer.C:
		}
	}
	return result, err
}
