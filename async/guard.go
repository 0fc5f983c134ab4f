package async

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// panicError reports a call of application code that did not return, because it
// panicked or ended its goroutine. The error never contains the value of the
// panic, which can be part of a payload.
type panicError struct {
	call  string // the kind of the call
	value string // the type of the panic's value; "" if the call ended its goroutine
	cause error  // an error whose Error method panicked
}

func (e *panicError) Error() string {
	if e.value == "" {
		return e.call + " ended its goroutine"
	}
	return e.call + " panicked with a value of type " + e.value
}

// Unwrap returns the error whose text cannot be read, so that errors.Is and
// errors.As still work.
func (e *panicError) Unwrap() error { return e.cause }

// guarded calls application code. A panic becomes an error that names the call.
// An error whose Error method panics is also replaced, because it would panic
// again when it is logged. All calls of application code go through guarded,
// except for the function of Start, whose panic belongs to the activity.
//
// The call runs in the goroutine of its caller. If the call ends this goroutine
// with runtime.Goexit, guarded does not return. Callers whose goroutine must
// survive use outside.
func guarded[T any](call string, f func() (T, error)) (v T, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		var none T
		v, err = none, panicked(call, recover())
	}()
	if v, err = f(); err != nil {
		err = readable(call, err)
	}
	returned = true
	return v, err
}

// guardedCount is like guarded, for a counter. guardedCount has no closure, so
// that counting does not allocate.
func guardedCount(to counter, c count, class string, n int, lag time.Duration) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicked("the observer", value)
		}
	}()
	to.count(c, class, n, lag)
	return nil
}

func panicked(call string, value any) *panicError {
	e := &panicError{call: call}
	if value != nil {
		e.value = fmt.Sprintf("%T", value)
	}
	return e
}

// readable returns err, or a replacement if the text of err cannot be read.
func readable(call string, err error) (same error) {
	if ours, is := err.(*panicError); is {
		return ours // the error names the inner call
	}
	defer func() {
		if value := recover(); value != nil {
			e := panicked("the Error method of what "+call+" returned", value)
			e.cause = err
			same = e
		}
	}()
	_ = err.Error()
	return err
}

var (
	errBusy  = errors.New("async: the call before has not come back")
	errHangs = errors.New("async: the call did not come back in time")
)

// outside calls application code in a goroutine, and stops waiting if the call
// hangs. Until the call has returned, outside makes no other call for the same
// entry.
func outside[T any](ctx context.Context, busy *sync.Map, id, call string, f func() (T, error)) (v T, err error) {
	if _, is := busy.LoadOrStore(id, true); is {
		return v, errBusy
	}
	type result struct {
		v   T
		err error
	}
	back := make(chan result, 1)
	go func() {
		r := result{err: panicked(call, nil)} // the result if the call ends its goroutine
		defer func() {
			busy.Delete(id) // deleted before the next call for this entry
			back <- r
		}()
		r.v, r.err = guarded(call, f)
	}()
	select {
	case r := <-back:
		return r.v, r.err
	case <-ctx.Done():
		// The call may have returned just before.
		select {
		case r := <-back:
			return r.v, r.err
		default:
			return v, errHangs
		}
	}
}
