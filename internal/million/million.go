// Package million tests a hub and a board on a store with many entries.
// Backends run the tests of this package in their own tests. With
// LATCHKEY_SOAK=1 there are a million entries. The test then logs how long
// pages and counts take while a hub is at full work. LATCHKEY_CPU names a file
// for a processor profile of that part.
package million

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

const (
	few  = 3_000
	many = 1_000_000

	fillers = 128 // number of callers that fill the store
	workers = 16  // callers who answer
)

// Decision is the result type of the activities.
type Decision struct{ Approved bool }

// ResultType returns the name of the type in the store.
func (Decision) ResultType() string { return "million.Decision" }

// Test fills an empty store, and tests pages, the board and counts on it.
func Test(t *testing.T, s store.Store) { TestFilled(t, s, s) }

// TestFilled is Test with another handle to the same entries, which fills the
// store faster. For example, the connection of filler does not sync each write.
func TestFilled(t *testing.T, s, filler store.Store) {
	w := newWorld(t, s)
	w.fill(filler)
	w.pagesReadWhatTheyMay()
	w.countsAreShared()
	w.measure()
}

// Fill fills a store that is empty with 3,000 entries, or with a million if
// LATCHKEY_SOAK is 1. Fill returns their number.
func Fill(t *testing.T, s store.Store) int {
	w := newWorld(t, s)
	w.fill(s)
	return w.entries
}

func newWorld(t *testing.T, s store.Store) *world {
	w := &world{t: t, store: s, entries: few, soak: os.Getenv("LATCHKEY_SOAK") == "1"}
	if w.soak {
		w.entries = many
	}
	return w
}

// world is a store with many waiting entries. One entry in a thousand has an
// outcome that Temporal refuses.
type world struct {
	t       *testing.T
	store   store.Store
	entries int
	soak    bool

	secret string // the second part of each callback ID
	prefix string // the first part of each entry's ID
	waits  []byte // body of an entry that waits
	next   atomic.Int64
}

// nowhere is a fake of Temporal that accepts every call at once, except for
// refused outcomes.
type nowhere struct{ refuses bool }

func (n nowhere) Complete(context.Context, completer.Target, completer.Outcome) error {
	if n.refuses {
		return completer.ErrCallRefused
	}
	return nil
}

func (nowhere) Heartbeat(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
	return completer.Signals{}, nil
}

func (nowhere) Describe(context.Context, completer.Target, string) (completer.Status, error) {
	return completer.Status{Pending: true}, nil
}

func (w *world) newHub(s store.Store, c completer.Completer) *async.Hub {
	w.t.Helper()
	h, err := async.New(async.Options{Store: s, Completer: c, DeliveryWait: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// id returns the ID of the n-th entry.
func (w *world) id(n int) string { return fmt.Sprintf("%s%022d", w.prefix, n) }

// fill writes the entries: copies of a waiting entry, and of an entry with a
// refused outcome.
func (w *world) fill(filler store.Store) {
	w.t.Helper()
	begun := time.Now()
	w.waits = w.prototype(nowhere{}, false)
	refused := w.prototype(nowhere{refuses: true}, true)
	due := time.Now().Add(24 * time.Hour)
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	for first := range fillers {
		all.Go(func() {
			for n := first; n < w.entries && failed.Load() == nil; n += fillers {
				e := store.Entry{ID: w.id(n), Due: due, Body: w.waits}
				if n%1000 == 999 {
					e.Body = refused
				}
				if _, err := filler.Put(w.t.Context(), e); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		w.t.Fatal(*err)
	}
	w.logf("%d entries were written in %v", w.entries, time.Since(begun))
}

// prototype returns the body of an entry, and removes the entry.
func (w *world) prototype(c completer.Completer, answered bool) []byte {
	w.t.Helper()
	h := w.newHub(w.store, c)
	var p async.Pending[Decision]
	approve := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, h, async.StartOptions{Labels: map[string]string{"team": "blue"}}, func(_ context.Context, pending async.Pending[Decision]) error {
			p = pending
			return nil
		})
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(approve, activity.RegisterOptions{Name: "Approve"})
	if _, err := env.ExecuteActivity(approve); err != activity.ErrResultPending {
		w.t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	id := p.Info().ID
	if answered {
		if err := p.Complete(w.t.Context(), Decision{}); err != nil {
			w.t.Fatal(err)
		}
	} else {
		w.prefix, w.secret = id[:len(id)-22], p.ID()[len(id):]
	}
	e, err := w.store.Get(w.t.Context(), id)
	if err == nil {
		err = w.store.Delete(w.t.Context(), id, e.Version)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return e.Body
}

func (w *world) logf(format string, args ...any) {
	w.t.Helper()
	if w.soak {
		w.t.Logf(format, args...)
	}
}
