package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// Decision is the result type of most tests.
type Decision struct {
	Approved bool
	Reason   string
}

var scheduled = time.Date(2026, 11, 23, 9, 0, 0, 123456789, time.UTC)

// world is one activity with its store and its fake of Temporal.
type world struct {
	t         *testing.T
	store     store.Store
	completer *asynctest.Completer
	hub       *async.Hub
	logs      *strings.Builder
}

func newWorld(t *testing.T, change ...func(*async.Options)) *world {
	t.Helper()
	w := &world{t: t, store: store.NewMemory(), completer: new(asynctest.Completer), logs: new(strings.Builder)}
	o := async.Options{
		Store: w.store, Completer: w.completer,
		DeliveryWait: time.Minute, // the result of a test must not depend on the speed of the machine
		Logger:       slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	w.store = o.Store
	h, err := async.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	w.hub = h
	return w
}

// attempt is the n-th attempt, started n seconds after the activity was
// scheduled.
func attempt(n int) activity.Info {
	return activity.Info{
		TaskToken:         fmt.Appendf(nil, "token-%d", n),
		WorkflowType:      &workflow.Type{Name: "Expense"},
		WorkflowExecution: workflow.Execution{ID: "expense-7", RunID: "run-1"},
		ActivityID:        "5",
		ActivityType:      activity.Type{Name: "Approve"},
		TaskQueue:         "expenses",
		Namespace:         "default",
		ScheduledTime:     scheduled,
		StartedTime:       scheduled.Add(time.Duration(n) * time.Second),
		Deadline:          scheduled.Add(time.Duration(n)*time.Second + time.Hour),
		Attempt:           int32(n),
	}
}

// start runs an attempt that awaits a Decision. start returns the callback ID
// that the external system got, or "" if the function did not run.
func (w *world) start(n int, o async.StartOptions) string {
	w.t.Helper()
	id := ""
	err := async.StartAttempt(w.t.Context(), w.hub, attempt(n), o, func(_ context.Context, p async.Pending[Decision]) error {
		id = p.ID()
		return nil
	})
	if err != activity.ErrResultPending {
		w.t.Fatalf("Start of attempt %d returned %v, not the bare activity.ErrResultPending", n, err)
	}
	return id
}

// startOtherType runs an attempt of a release that awaits another type, which
// begins a new round.
func (w *world) startOtherType(n int) {
	w.t.Helper()
	err := async.StartAttempt(w.t.Context(), w.hub, attempt(n), async.StartOptions{}, func(context.Context, async.Pending[int]) error { return nil })
	if err != activity.ErrResultPending {
		w.t.Fatalf("Start of attempt %d returned %v, not the bare activity.ErrResultPending", n, err)
	}
}

// open opens the callback with the result type Decision.
func (w *world) open(id string) async.Pending[Decision] {
	w.t.Helper()
	p, err := async.Open[Decision](w.t.Context(), w.hub, id)
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	return p
}

// record returns the record of the only entry.
func (w *world) record() *record.Record {
	w.t.Helper()
	_, r := w.stored()
	return r
}

func (w *world) stored() (store.Entry, *record.Record) {
	w.t.Helper()
	for e, err := range w.store.List(w.t.Context()) {
		if err != nil {
			w.t.Fatalf("list: %v", err)
		}
		r, err := async.DecodeRecord(e)
		if err != nil {
			w.t.Fatalf("decode: %v", err)
		}
		return e, r
	}
	w.t.Fatal("the store is empty")
	return store.Entry{}, nil
}

// change writes to the record without the hub's knowledge.
func (w *world) change(f func(r *record.Record)) {
	w.t.Helper()
	e, r := w.stored()
	f(r)
	e, err := async.EncodeRecord(e, r)
	if err != nil {
		w.t.Fatalf("encode: %v", err)
	}
	if _, err := w.store.Put(w.t.Context(), e); err != nil {
		w.t.Fatalf("put: %v", err)
	}
}

// state returns the state of the entry.
func (w *world) state() async.State {
	w.t.Helper()
	return async.State(w.record().State)
}

func (w *world) wantState(want async.State) {
	w.t.Helper()
	if got := w.state(); got != want {
		w.t.Fatalf("the entry is %v, want %v", got, want)
	}
}

// wantSent checks how many outcomes Temporal has accepted.
func (w *world) wantSent(want int) []asynctest.Call {
	w.t.Helper()
	calls := w.completer.Completed()
	if len(calls) != want {
		w.t.Fatalf("Temporal has taken %d outcomes, want %d: %v", len(calls), want, calls)
	}
	return calls
}

func wantErr(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("the error is %v, want one that is %v", err, w)
		}
	}
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// faulty is a store whose calls can be made to fail.
type faulty struct {
	store.Store
	put func(ctx context.Context, e store.Entry) (uint64, error)
	get func(ctx context.Context, id string) (store.Entry, error)
}

func (f *faulty) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if f.put != nil {
		return f.put(ctx, e)
	}
	return f.Store.Put(ctx, e)
}

func (f *faulty) Get(ctx context.Context, id string) (store.Entry, error) {
	if f.get != nil {
		return f.get(ctx, id)
	}
	return f.Store.Get(ctx, id)
}

// watched is a store that counts the calls of one hub and can fail all of them,
// as if the hub had died.
type watched struct {
	store.Store
	gone   atomic.Bool
	claims atomic.Int64
	empty  atomic.Int64 // number of claims that found nothing
	others atomic.Int64 // number of calls of Get, Put and Delete
}

var errGone = errors.New("this process is gone")

func (s *watched) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	if s.gone.Load() {
		return nil, errGone
	}
	s.claims.Add(1)
	es, err := s.Store.Claim(ctx, now, until, n)
	if len(es) == 0 {
		s.empty.Add(1)
	}
	return es, err
}

func (s *watched) Get(ctx context.Context, id string) (store.Entry, error) {
	if s.gone.Load() {
		return store.Entry{}, errGone
	}
	s.others.Add(1)
	return s.Store.Get(ctx, id)
}

func (s *watched) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if s.gone.Load() {
		return 0, errGone
	}
	s.others.Add(1)
	return s.Store.Put(ctx, e)
}

func (s *watched) Delete(ctx context.Context, id string, version uint64) error {
	if s.gone.Load() {
		return errGone
	}
	s.others.Add(1)
	return s.Store.Delete(ctx, id, version)
}
