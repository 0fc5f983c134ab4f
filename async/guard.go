package async

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// panicError stands for a call of the application that did not return: it
// panicked, or ended its goroutine. It never repeats what the call panicked
// with, which can be a part of a payload.
type panicError struct {
	call  string // which kind of call
	value string // the type of what it panicked with; "": it ended its goroutine
	cause error  // an error whose Error method panicked
}

func (e *panicError) Error() string {
	if e.value == "" {
		return e.call + " ended its goroutine"
	}
	return e.call + " panicked with a value of type " + e.value
}

// Unwrap returns the error whose text can't be read, so that its kind still can.
func (e *panicError) Unwrap() error { return e.cause }

// guarded calls the application. A panic becomes an error that names the call.
// So does an error whose Error method panics, since it would panic again where
// it is logged. All calls into the application go through here, but for the
// function of Start, whose panic is the activity's own.
//
// A call that ends its goroutine ends that of the caller: where that matters,
// outside is for it.
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

// guardedCount is guarded for a counter. It has no closure, so that counting does
// not allocate.
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

// readable returns err, or what stands for it where its text can't be read.
func readable(call string, err error) (same error) {
	if ours, is := err.(*panicError); is {
		return ours // the inner call is the one to name
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

// outside calls the application in a goroutine, which is given up where the
// call hangs. Until the call is back, no other is made for the entry.
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
		r := result{err: panicked(call, nil)} // where it ends its goroutine
		defer func() {
			busy.Delete(id) // before the next of this entry is called
			back <- r
		}()
		r.v, r.err = guarded(call, f)
	}()
	select {
	case r := <-back:
		return r.v, r.err
	case <-ctx.Done():
		// It may have come back at that very moment.
		select {
		case r := <-back:
			return r.v, r.err
		default:
			return v, errHangs
		}
	}
}
