package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// contextChecks check calls whose context has ended.
func contextChecks() []check {
	checks := []check{
		{
			name: "Context/DeadlineIsReachable",
			says: "The error of a context stays reachable for errors.Is.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				ctx, cancel := context.WithDeadline(c.ctx, time.Now().Add(-time.Hour))
				defer cancel()
				for _, call := range callsOn(e) {
					c.wantErr(call.do(ctx, s), context.DeadlineExceeded, "%s after its context's deadline", call.op)
				}
				c.wantStored(s, e, "after calls past their deadline")
			},
		},
		{
			name: "Context/EndedBeforeListOfNothing",
			says: "A context that has ended before the call: its error is returned, also where there is nothing to list.",
			run: func(c *checker) {
				s := c.open()
				c.wantErr(listing(c.ended(), s), context.Canceled, "List of an empty store with a context that has ended")
			},
		},
		{
			name: "Context/EndsDuringPut",
			says: "A call whose context ends says so or answers as it would have; its write is whole or not there.",
			run:  contextEndsDuringPut,
		},
	}
	for i, name := range []string{"Get", "Insert", "Put", "Delete", "Claim", "List"} {
		checks = append(checks, check{
			name: "Context/EndedBefore" + name,
			says: "A context that has ended before the call writes nothing, and its error is returned.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				call := callsOn(e)[i]
				c.wantErr(call.do(c.ended(), s), context.Canceled, "%s with a context that has ended", name)
				c.wantStored(s, e, "after a call whose context had ended")
				c.wantAbsent(s, "new", "after a call whose context had ended")
				if got := byID(c.list(s)); len(got) != 1 {
					c.errorf("List after a call whose context had ended: got %d entries, want 1", len(got))
				}
			},
		})
	}
	return checks
}

// ended returns a cancelled context.
func (c *checker) ended() context.Context {
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	return ctx
}

// call is one method of a store with valid arguments.
type call struct {
	op string // as in store.Error
	do func(ctx context.Context, s store.Store) error
}

// callsOn returns a call of each method: Get, insert, Put, Delete, Claim and
// List. The insert is for the ID "new". The other calls are for e, which is
// stored and due.
func callsOn(e store.Entry) []call {
	return []call{
		{"get", func(ctx context.Context, s store.Store) error {
			_, err := s.Get(ctx, e.ID)
			return err
		}},
		{"put", func(ctx context.Context, s store.Store) error {
			_, err := s.Put(ctx, store.Entry{ID: "new", Due: e.Due, Body: e.Body})
			return err
		}},
		{"put", func(ctx context.Context, s store.Store) error {
			_, err := s.Put(ctx, store.Entry{ID: e.ID, Version: e.Version, Due: e.Due, Body: []byte("replaced")})
			return err
		}},
		{"delete", func(ctx context.Context, s store.Store) error { return s.Delete(ctx, e.ID, e.Version) }},
		{"claim", func(ctx context.Context, s store.Store) error {
			got, err := s.Claim(ctx, e.Due, e.Due.Add(time.Hour), 5)
			if err != nil && len(got) > 0 {
				return fmt.Errorf("claim returned %d entries with the error %v", len(got), err)
			}
			return err
		}},
		{"list", listing},
	}
}

// listing loops over List and returns the error that ends it.
func listing(ctx context.Context, s store.Store) (last error) {
	for _, err := range s.List(ctx) {
		if last != nil {
			return errors.New("list went on after its error")
		}
		last = err
	}
	return last
}

func contextEndsDuringPut(c *checker) {
	s := c.open()
	entries := numbered("entry-", 64, func(i int) time.Time { return at(i) })
	errs := make([]error, len(entries))
	c.each(writers, func(w int) error {
		for i := w; i < len(entries); i += writers {
			ctx, cancel := context.WithCancel(c.ctx)
			var wg sync.WaitGroup
			wg.Go(cancel)
			var version uint64
			version, errs[i] = s.Put(ctx, entries[i])
			wg.Wait()
			if errs[i] == nil {
				entries[i].Version = version
			}
		}
		return nil
	})
	for i, e := range entries {
		if errs[i] == nil {
			c.wantStored(s, e, "after a Put that returned nil while its context ended")
			continue
		}
		c.wantErr(errs[i], context.Canceled, "Put whose context ended meanwhile")
		got, err := s.Get(c.ctx, e.ID)
		if err != nil {
			c.wantErr(err, store.ErrNotFound, "Get of an entry whose Put failed as its context ended")
			e = c.put(s, e)
		} else {
			e.Version = got.Version // unknown until now
		}
		c.wantStored(s, e, "after its Put failed as its context ended")
	}
}
