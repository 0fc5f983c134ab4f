package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// closeChecks check the effects of Close.
func closeChecks() []check {
	return []check{
		{
			name: "Close/SecondReturnsNil",
			says: "A second Close returns nil.",
			run: func(c *checker) {
				s := c.open()
				for _, which := range []string{"first", "second", "third"} {
					if err := s.Close(); err != nil {
						c.errorf("%s Close: got %v, want nil", which, err)
					}
				}
			},
		},
		{
			name: "Close/AtOnceFromSeveral",
			says: "A store's methods may be called by any number of goroutines, Close too.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "entry", "body", at(1))
				c.each(4, func(i int) error {
					if err := s.Close(); err != nil {
						return fmt.Errorf("one of 4 Closes at once: got %w, want nil", err)
					}
					return nil
				})
			},
		},
		{
			name: "Close/ListLoopEndsWithErrClosed",
			says: "Loops over List that go on after Close get ErrClosed.",
			run: func(c *checker) {
				s := c.open()
				c.populate(s, numbered("entry-", 200, func(i int) time.Time { return at(i) }))
				turns := 0
				var last error
				for e, err := range s.List(c.ctx) {
					if last != nil {
						c.fatalf("List after its error: got another turn, want the loop to end")
					}
					if last = err; err != nil {
						c.wantEntry(e, store.Entry{}, "entry with an error of List")
					}
					if turns++; turns == 1 {
						c.close(s)
					}
				}
				c.wantErr(last, store.ErrClosed, "List closed at its first of 200 entries, after %d turns", turns)
			},
		},
		{
			name: "Close/WaitsForCallsUnderWay",
			says: "Close waits for the calls under way.",
			run:  closeWaits,
		},
		{
			name: "Close/BesideOtherCalls",
			says: "Calls during Close are answered as usual, later ones get ErrClosed.",
			run:  closeBesideOtherCalls,
		},
		afterClose("Get", 0), afterClose("Insert", 1), afterClose("Put", 2),
		afterClose("Delete", 3), afterClose("Claim", 4), afterClose("List", 5),
	}
}

func afterClose(name string, i int) check {
	return check{
		name: "Close/" + name + "Afterwards",
		says: "Calls after Close get ErrClosed.",
		run: func(c *checker) {
			s := c.open()
			e := c.insert(s, "entry", "body", at(1))
			c.close(s)
			c.wantErr(callsOn(e)[i].do(c.ctx, s), store.ErrClosed, "%s after Close", name)
		},
	}
}

// gate is a context that blocks a call at its first check of the context. When
// the call checks its context, it has begun and has not ended.
type gate struct {
	context.Context
	once    sync.Once
	entered chan struct{}
	open    chan struct{}
}

func (g *gate) Err() error {
	g.once.Do(func() {
		close(g.entered)
		<-g.open
	})
	return g.Context.Err()
}

// closeWaits closes a store while a call is blocked inside it. If Close returns
// before the call has ended, the call must get ErrClosed. If Close waits, the
// call is released after a moment. The length of the wait does not matter.
func closeWaits(c *checker) {
	const moment = 20 * time.Millisecond
	for i, name := range []string{"Get", "insert", "Put", "Delete", "Claim"} {
		s := c.open()
		e := c.insert(s, "entry", "body", at(1))
		g := &gate{Context: c.ctx, entered: make(chan struct{}), open: make(chan struct{})}
		answered, closed := make(chan error, 1), make(chan error, 1)
		go func() {
			answered <- c.shielded(func() error { return callsOn(e)[i].do(g, s) })
		}()
		select {
		case <-g.entered:
		case err := <-answered: // the backend never checks the context, so the test shows nothing
			if err != nil {
				c.errorf("%s: got %v, want nil", name, err)
			}
			continue
		}
		go func() {
			closed <- c.shielded(s.Close)
		}()
		early := false
		timer := time.NewTimer(moment)
		select {
		case err := <-closed:
			early = true
			closed <- err
		case <-timer.C:
		}
		timer.Stop()
		close(g.open)
		err := <-answered
		if closeErr := <-closed; closeErr != nil {
			c.errorf("Close during a %s: got %v, want nil", name, closeErr)
		}
		switch {
		case early && !errors.Is(err, store.ErrClosed):
			c.errorf("%s that was under way when Close returned: got %v, want ErrClosed, or Close to wait for it", name, err)
		case err != nil && !errors.Is(err, store.ErrClosed):
			c.errorf("%s during Close: got %v, want nil or ErrClosed", name, err)
		}
	}
}

// closeBesideOtherCalls closes a store during calls of every kind.
func closeBesideOtherCalls(c *checker) {
	s := c.open()
	c.populate(s, numbered("entry-", 20, func(i int) time.Time { return at(i) }))
	const calls = 12 // number of calls that had returned before Close was called
	begun := make(chan struct{}, calls)
	var closed atomic.Bool
	c.each(6, func(w int) error {
		if w == 0 {
			for range calls {
				<-begun
			}
			defer closed.Store(true)
			return s.Close()
		}
		defer func() { // a failing goroutine must not block Close
			for range calls {
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		}()
		last := false
		for i := 0; !last; i++ {
			last = closed.Load() // this call begins after Close has returned
			e := store.Entry{ID: fmt.Sprintf("new-%d-%d", w, i), Due: at(i), Body: []byte("body")}
			var err error
			switch (w + i) % 4 {
			case 0:
				_, err = s.Put(c.ctx, e)
			case 1:
				if _, err = s.Get(c.ctx, e.ID); errors.Is(err, store.ErrNotFound) {
					err = nil
				}
			case 2:
				_, err = s.Claim(c.ctx, at(i), at(i+1), 2)
			case 3:
				err = listing(c.ctx, s)
			}
			if errors.Is(err, store.ErrClosed) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("a call during Close: got %w, want nil or ErrClosed", err)
			}
			select {
			case begun <- struct{}{}:
			default:
			}
		}
		return errors.New("a call after Close had returned: got nil, want ErrClosed")
	})
}
