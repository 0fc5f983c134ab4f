package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// failure is an error that a store has correctly returned.
type failure struct {
	doing string
	op    string // as in store.Error
	err   error
}

// errorChecks check the form of every error.
func errorChecks() []check {
	return []check{
		{
			name: "Errors/WrappedExactlyOnce",
			says: "Every error is wrapped exactly once in an *Error.",
			run: func(c *checker) {
				for _, f := range c.failures() {
					c.wantWrapped(f)
				}
			},
		},
		{
			name: "Errors/NameOperationAndBackend",
			says: "Error: the operation that failed, on which backend, and why.",
			run: func(c *checker) {
				backend := ""
				for _, f := range c.failures() {
					e, ok := errors.AsType[*store.Error](f.err)
					if !ok {
						c.errorf("%s: got %T, want an *store.Error", f.doing, f.err)
						continue
					}
					if e.Op != f.op {
						c.errorf("%s: got Op %q, want %q", f.doing, e.Op, f.op)
					}
					if backend == "" {
						backend = e.Backend
					}
					if e.Backend == "" || e.Backend != backend {
						c.errorf("%s: got Backend %q, want the same name in every error, as in the first: %q", f.doing, e.Backend, backend)
					}
				}
			},
		},
		{
			name: "Errors/ShortenTheID",
			says: "Error.ID is shortened, and the text has no more of it.",
			run: func(c *checker) {
				for _, f := range c.failures() {
					e, ok := errors.AsType[*store.Error](f.err)
					if !ok {
						c.errorf("%s: got %T, want an *store.Error", f.doing, f.err)
						continue
					}
					switch e.ID {
					case "", "new", store.ShortID(longID), store.ShortID(otherID):
					default:
						c.errorf("%s: got ID %q in the error, want it shortened by ShortID", f.doing, e.ID)
					}
					for _, id := range []string{longID, otherID} {
						short := strings.TrimSuffix(store.ShortID(id), "…")
						if strings.Contains(fmt.Sprintf("%v %+v", f.err, f.err), id[:len(short)+1]) {
							c.errorf("%s: got an error with more than %d characters of the ID, want it shortened by ShortID", f.doing, len(short))
						}
					}
				}
			},
		},
		{
			name: "Errors/TellNothingOfTheBody",
			says: "Nothing of an entry's body is in an error.",
			run: func(c *checker) {
				for _, f := range c.failures() {
					if strings.Contains(fmt.Sprintf("%v %+v", f.err, f.err), secretBody) {
						c.errorf("%s: got an error with the entry's body in its text, want it left out", f.doing)
					}
				}
			},
		},
	}
}

const (
	longID     = "0r1c3kq5d0-Zm9vYmFyYmF6cXV4Y29yZ2U"
	otherID    = "0r1c3kq5d1-c29tZXRoaW5nIGVsc2UgaGVyZQ"
	secretBody = "a-body-that-nobody-else-should-read"
)

// failures makes a store return every error that a healthy store can return.
func (c *checker) failures() []failure {
	c.t.to.Helper()
	s := c.open()
	ctx := c.ctx
	e := c.insert(s, longID, secretBody, at(1))
	_, absent := s.Get(ctx, otherID)
	_, badGet := s.Get(ctx, longID+"/"+otherID)
	_, exists := s.Put(ctx, store.Entry{ID: longID, Due: at(1), Body: []byte(secretBody)})
	_, conflict := s.Put(ctx, store.Entry{ID: longID, Version: e.Version + 1, Due: at(1), Body: []byte(secretBody)})
	_, gone := s.Put(ctx, store.Entry{ID: otherID, Version: e.Version, Due: at(1), Body: []byte(secretBody)})
	_, badID := s.Put(ctx, store.Entry{ID: longID + "/", Body: []byte(secretBody)})
	_, badDue := s.Put(ctx, store.Entry{ID: longID, Due: time.UnixMilli(-1), Body: []byte(secretBody)})
	_, badBody := s.Put(ctx, store.Entry{ID: otherID, Body: []byte(strings.Repeat(secretBody, c.maxBody()/len(secretBody)+1))})
	_, badClaim := s.Claim(ctx, at(1), at(9), 0)
	all := []failure{
		{"Get of an entry that is absent", "get", absent},
		{"Get of an invalid ID", "get", badGet},
		{"insert of an entry that is there", "put", exists},
		{"Put at another version", "put", conflict},
		{"Put of an entry that isn't there", "put", gone},
		{"Put with an invalid ID", "put", badID},
		{"Put with an invalid Due", "put", badDue},
		{"Put with a body that is too large", "put", badBody},
		{"Delete at another version", "delete", s.Delete(ctx, longID, e.Version+1)},
		{"Delete of an invalid ID", "delete", s.Delete(ctx, longID+" ", e.Version)},
		{"Claim of none", "claim", badClaim},
	}
	add := func(when string, ctx context.Context) {
		for _, call := range callsOn(e) {
			all = append(all, failure{call.op + " " + when, call.op, call.do(ctx, s)})
		}
	}
	add("with a context that has ended", c.ended())
	c.close(s)
	add("after Close", ctx)

	for _, f := range all {
		if f.err == nil {
			c.fatalf("%s: got nil, want an error", f.doing)
		}
	}
	return all
}

// wantWrapped reports a failure unless an error is an *store.Error with a cause and
// with no other *store.Error in its chain.
func (c *checker) wantWrapped(f failure) {
	c.t.to.Helper()
	if e, ok := f.err.(*store.Error); !ok {
		c.errorf("%s: got a %T outermost, want an *store.Error", f.doing, f.err)
	} else if e.Err == nil {
		c.errorf("%s: got an *store.Error without a cause", f.doing)
	}
	if n := countWraps(f.err); n != 1 {
		c.errorf("%s: got %d *store.Error in the chain of %q, want exactly one", f.doing, n, f.err)
	}
}

// countWraps counts the *store.Error values in an error's tree.
func countWraps(err error) int {
	n := 0
	if _, ok := err.(*store.Error); ok {
		n = 1
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			n += countWraps(cause)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			n += countWraps(cause)
		}
	}
	return n
}
