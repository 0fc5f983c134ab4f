package asynctest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

func TestTemporalIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		temporal := &asynctest.Completer{CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error {
			if away.Load() {
				return errors.New("no connection")
			}
			return nil
		}}
		hub := asynctest.NewHub(t, async.Options{Completer: temporal})
		p := approval(t, hub)

		away.Store(true)
		if err := p.Complete(t.Context(), Decision{Approved: true}); err != nil {
			t.Errorf("the answer: %v, want nil: it is stored", err)
		}
		if n := len(temporal.Completed()); n != 0 {
			t.Errorf("%d outcomes were delivered, want none yet", n)
		}

		away.Store(false)
		time.Sleep(time.Minute) // advances the time of the bubble
		if _, err := hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(temporal.Completed()); n != 1 {
			t.Errorf("%d outcomes were delivered, want 1", n)
		}
	})
}

// lossy is a completer that accepts an outcome and loses the reply once.
type lossy struct {
	asynctest.Completer
	broken atomic.Bool
}

func (l *lossy) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	err := l.Completer.Complete(ctx, t, o)
	if err == nil && l.broken.CompareAndSwap(false, true) {
		return errors.New("connection reset")
	}
	return err
}

func TestLostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := new(lossy)
		var called int
		hub := asynctest.NewHub(t, async.Options{Completer: temporal, Hooks: async.Hooks{
			Delivered: func(context.Context, async.Callback) error {
				called++
				return nil
			},
		}})
		p := approval(t, hub)
		for range 3 { // the sender repeats the answer
			if err := p.Complete(t.Context(), Decision{Approved: true}); err != nil {
				t.Errorf("the answer: %v", err)
			}
		}
		if c, err := hub.Open(t.Context(), p.ID()); err != nil || c.Info().State != async.Settled {
			t.Errorf("after a lost reply: %v, %v, want settled", c.Info().State, err)
		}

		time.Sleep(time.Minute) // advances the time of the bubble
		if _, err := hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c, err := hub.Open(t.Context(), p.ID()); err != nil || !c.Info().Delivered {
			t.Errorf("after Work: %v, %v, want delivered", c.Info().State, err)
		}
		if n := len(temporal.Completed()); n != 1 || called != 1 {
			t.Errorf("%d outcomes were delivered and the hook was called %d times, want once each", n, called)
		}
	})
}

// flaky is a store that can fail before a write or after it.
type flaky struct {
	store.Store
	before, after atomic.Pointer[error]
}

func (f *flaky) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if err := f.before.Load(); err != nil {
		return 0, *err
	}
	version, err := f.Store.Put(ctx, e)
	if lost := f.after.Load(); err == nil && lost != nil {
		return 0, *lost
	}
	return version, err
}

func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		database := &flaky{Store: store.NewMemory()}
		temporal := new(asynctest.Completer)
		hub := asynctest.NewHub(t, async.Options{Store: database, Completer: temporal})
		p := approval(t, hub)
		for _, fault := range []*atomic.Pointer[error]{&database.before, &database.after} {
			fault.Store(new(errors.New("the database is away")))
			if err := p.Complete(t.Context(), Decision{Approved: true}); err == nil {
				t.Error("the answer was accepted, want an error, since the outcome is unknown")
			}
			fault.Store(nil)
		}
		if err := p.Complete(t.Context(), Decision{Approved: true}); err != nil {
			t.Errorf("the same answer again: %v", err)
		}

		time.Sleep(time.Minute) // after this time of the bubble, the claim of the failed call has expired
		if _, err := hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(temporal.Completed()); n != 1 {
			t.Errorf("%d outcomes were delivered, want 1", n)
		}
	})
}
