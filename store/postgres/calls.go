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

// calls counts the running calls, so that Close can wait for them.
type calls struct {
	mu     sync.Mutex
	closed bool
	count  sync.WaitGroup

	ended context.Context // ends the goroutines that belong to calls
	end   func()
}

// begin returns ErrClosed after close. Otherwise the caller must call
// count.Done when its call ends.
func (c *calls) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return store.ErrClosed
	}
	c.count.Add(1)
	return nil
}

// close calls ended, waits for the running calls, and reports whether this is
// the first close.
func (c *calls) close() (first bool) {
	c.mu.Lock()
	first = !c.closed
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.count.Wait()
	return first
}

// call runs f if the arguments are valid, the context has not ended and the
// store is open. call wraps the error once.
func call[T any](ctx context.Context, c *calls, op, id string, invalid error, f func() (T, error)) (result T, err error) {
	if err = cmp.Or(invalid, ctx.Err()); err == nil {
		if err = c.begin(); err == nil {
			defer c.count.Done()
			result, err = f()
			err = endedError(ctx, err)
		}
	}
	return result, store.Wrap(op, backend, id, damage(err))
}

// endedError adds the error of ctx to an error of pgx or of the server, if ctx
// has ended. pgx ends a call by a deadline on its connection. Therefore a call
// whose context ended can fail with a network timeout.
func endedError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) || isAnswer(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// damage adds ErrCorrupt to the errors that PostgreSQL returns for damaged files.
func damage(err error) error {
	if code := sqlState(err); code == "XX001" || code == "XX002" {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}

// sqlState returns PostgreSQL's code of an error, or "". The errors of pgx and
// of lib/pq have the method SQLState.
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
	// maxRetries is the maximum number of retries of a statement that the
	// server has rolled back.
	maxRetries = 30
	// maxPause is the longest pause before such a retry.
	maxPause = 20 * time.Millisecond
)

// retried runs f again if the server has rolled back the statement to resolve a
// conflict. After such a rollback, nothing was written. Conflicts occur in
// sessions with repeatable read or serializable. The next run of f sees the
// writes of other sessions.
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
