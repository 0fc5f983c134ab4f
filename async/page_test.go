package async_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/bolt"
)

// startMany starts n activities, a millisecond apart. Every third activity has
// the type Pay, and has its number as a label.
func (w *world) startMany(n int) {
	w.t.Helper()
	for i := range n {
		info := attempt(1)
		info.ActivityID = strconv.Itoa(i)
		info.ScheduledTime = scheduled.Add(time.Duration(i) * time.Millisecond)
		o := async.StartOptions{}
		if i%3 == 0 {
			info.ActivityType = activity.Type{Name: "Pay"}
			o.Labels = map[string]string{"number": strconv.Itoa(i), "team": "payments"}
		}
		err := async.StartAttempt(w.t.Context(), w.hub, info, o, func(context.Context, async.Pending[Decision]) error { return nil })
		if err != activity.ErrResultPending {
			w.t.Fatalf("Start: %v", err)
		}
	}
}

// pages reads all pages of a query, and returns the activity IDs in order.
func (w *world) pages(q async.Query) (ids []string, looked int) {
	w.t.Helper()
	for range 1000 {
		p, err := w.hub.Page(w.t.Context(), q)
		if err != nil {
			w.t.Fatalf("Page: %v", err)
		}
		if len(p.Callbacks) > max(q.Limit, 1) && q.Limit > 0 {
			w.t.Fatalf("a page has %d callbacks, want at most %d", len(p.Callbacks), q.Limit)
		}
		for _, c := range p.Callbacks {
			ids = append(ids, c.Info().ActivityID)
		}
		looked += p.Looked
		if p.Next == "" {
			return ids, looked
		}
		q.After = p.Next
	}
	w.t.Fatal("the pages have no end")
	return nil, 0
}

// bodiless is a store without the optional interfaces.
type bodiless struct{ store.Store }

func TestPage(t *testing.T) {
	file := func(t *testing.T) store.Store {
		s, err := bolt.Open(t.Context(), filepath.Join(t.TempDir(), "db"), bolt.Options{})
		wantNil(t, err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	sealed := func(t *testing.T) store.Store {
		key := []byte(strings.Repeat("k", 32))
		s, err := store.Seal(t.Context(), store.NewMemory(), store.SealOptions{IDKey: key, Keys: map[string][]byte{"a": key}, Active: "a"})
		wantNil(t, err)
		return s
	}
	for name, open := range map[string]func(t *testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return store.NewMemory() }, "bolt": file, "sealed": sealed,
		"without pages": func(*testing.T) store.Store { return bodiless{store.NewMemory()} },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			w := newWorld(t, func(o *async.Options) { o.Store = s })
			w.startMany(100)
			for _, q := range []async.Query{{}, {Limit: 7}, {Limit: 7, Look: 100}, {Limit: 500, State: async.Waiting}, {Limit: 3, ResultType: must(async.TypeName[Decision]())}} {
				ids, _ := w.pages(q)
				seen := make(map[string]bool)
				for i, id := range ids {
					if id != strconv.Itoa(i) || seen[id] {
						t.Fatalf("%+v: place %d has activity %s, want them by the time at which they were scheduled, once", q, i, id)
					}
					seen[id] = true
				}
				if len(ids) != 100 {
					t.Errorf("%+v found %d activities, want 100", q, len(ids))
				}
			}
			if ids, _ := w.pages(async.Query{ActivityType: "Pay", Limit: 5}); len(ids) != 34 {
				t.Errorf("%d activities are of the type Pay, want 34", len(ids))
			}
			if ids, _ := w.pages(async.Query{Labels: map[string]string{"number": "33", "team": "payments"}}); len(ids) != 1 || ids[0] != "33" {
				t.Errorf("the label is that of %v, want 33", ids)
			}
			for _, q := range []async.Query{{Namespace: "other"}, {WorkflowID: "expense-8"}, {Key: "k"}, {State: async.Settled}, {Failing: true}, {Overdue: 100 * 365 * 24 * time.Hour}, {Labels: map[string]string{"team": "x"}}, {ResultType: "x"}} {
				if ids, _ := w.pages(q); len(ids) != 0 {
					t.Errorf("%+v selects %v, want none", q, ids)
				}
			}
			p, err := w.hub.Page(t.Context(), async.Query{Limit: 10})
			wantNil(t, err)
			if !p.Ordered || p.Skipped != 0 {
				t.Errorf("ordered: %t, %d skipped, want true and none", p.Ordered, p.Skipped)
			}
		})
	}
}

// Each condition of a query selects only the entry that has the value in the
// condition's own field.
func TestPageSelectsByField(t *testing.T) {
	w := newWorld(t)
	begin := func(namespace, workflow, typ, key string, labels map[string]string) string {
		t.Helper()
		info := attempt(1)
		info.Namespace, info.WorkflowExecution.ID, info.ActivityType.Name, info.ActivityID = namespace, workflow, typ, "of "+workflow
		err := async.StartAttempt(t.Context(), w.hub, info, async.StartOptions{Key: key, Labels: labels}, func(context.Context, async.Pending[Decision]) error { return nil })
		if err != activity.ErrResultPending {
			t.Fatalf("Start: %v", err)
		}
		return info.ActivityID
	}
	pay := begin("payments", "invoice-7", "Pay", "order-7", map[string]string{"team": "red", "size": "big"})
	approve := begin("people", "expense-8", "Approve", "order-8", map[string]string{"team": "red", "size": "small"})
	for name, x := range map[string]struct {
		pay, approve string
		query        func(value string) async.Query
	}{
		"Namespace":    {"payments", "people", func(v string) async.Query { return async.Query{Namespace: v} }},
		"WorkflowID":   {"invoice-7", "expense-8", func(v string) async.Query { return async.Query{WorkflowID: v} }},
		"ActivityType": {"Pay", "Approve", func(v string) async.Query { return async.Query{ActivityType: v} }},
		"Key":          {"order-7", "order-8", func(v string) async.Query { return async.Query{Key: v} }},
		"Labels":       {"big", "small", func(v string) async.Query { return async.Query{Labels: map[string]string{"team": "red", "size": v}} }},
	} {
		for value, want := range map[string]string{x.pay: pay, x.approve: approve} {
			if ids, _ := w.pages(x.query(value)); len(ids) != 1 || ids[0] != want {
				t.Errorf("%s %s selects %q, want the activity %q", name, value, ids, want)
			}
		}
		for _, value := range []string{"payments", "invoice-7", "Pay", "order-7", "big", "red"} {
			if ids, _ := w.pages(x.query(value)); len(ids) != 0 && value != x.pay {
				t.Errorf("%s %s selects %q, want none", name, value, ids)
			}
		}
	}
	both := async.Query{Namespace: "people", WorkflowID: "expense-8", ActivityType: "Approve", Key: "order-8", State: async.Waiting, ResultType: must(async.TypeName[Decision]())}
	if ids, _ := w.pages(both); len(ids) != 1 || ids[0] != approve {
		t.Errorf("%+v selects %q, want %q", both, ids, approve)
	}
	both.Key = "order-7"
	if ids, _ := w.pages(both); len(ids) != 0 {
		t.Errorf("%+v selects %q, want none", both, ids)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// counted is a store that counts the entries that are read.
type counted struct {
	store.Store
	pager store.Pager
	read  int
}

func (s *counted) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	es, err := s.pager.Page(ctx, after, n)
	s.read += len(es)
	return es, err
}

func TestPageReadsAtMostLookEntries(t *testing.T) {
	memory := store.NewMemory()
	s := &counted{Store: memory, pager: memory.(store.Pager)}
	w := newWorld(t, func(o *async.Options) { o.Store = s })
	w.startMany(1500)
	for _, x := range []struct {
		q    async.Query
		most int
	}{
		{async.Query{}, 50},
		{async.Query{Limit: 500}, 500},
		{async.Query{Look: 20}, 20},
		{async.Query{State: async.Settled, Look: 300}, 300},
		{async.Query{State: async.Settled, Look: 1}, 1},
		{async.Query{ActivityType: "Pay", Look: 700, Limit: 500}, 700},
	} {
		s.read = 0
		p, err := w.hub.Page(t.Context(), x.q)
		wantNil(t, err)
		if s.read > x.most || p.Looked > x.most {
			t.Errorf("%+v read %d entries and looked at %d, want at most %d", x.q, s.read, p.Looked, x.most)
		}
		if p.Next == "" {
			t.Errorf("%+v ends, want a next page", x.q)
		}
	}
	if ids, looked := w.pages(async.Query{State: async.Settled, Look: 400}); len(ids) != 0 || looked != 1500 {
		t.Errorf("empty pages looked at %d entries and found %d, want 1500 and none", looked, len(ids))
	}
}

func TestPageOfAStoreWithoutPages(t *testing.T) {
	w := newWorld(t, func(o *async.Options) { o.Store = bodiless{o.Store} })
	w.startMany(30)
	_, err := w.hub.Page(t.Context(), async.Query{Look: 29})
	wantErr(t, err, errors.ErrUnsupported)
	if p, err := w.hub.Page(t.Context(), async.Query{Look: 30}); err != nil || len(p.Callbacks) != 30 || p.Looked != 30 {
		t.Errorf("a page of a small store has %d callbacks of %d, %v", len(p.Callbacks), p.Looked, err)
	}
}

// unreadablePage is a store with a damaged entry in each page.
type unreadablePage struct {
	store.Store
}

func (s unreadablePage) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	es, err := s.Store.(store.Pager).Page(ctx, after, n)
	if err == nil && len(es) > 0 {
		err = fmt.Errorf("an entry: %w", store.ErrCorrupt)
	}
	return es, err
}

func TestPageCountsWhatItCannotRead(t *testing.T) {
	w := newWorld(t, func(o *async.Options) { o.Store = unreadablePage{Store: o.Store} })
	w.startMany(3)
	for i, body := range []string{"", "\xff", "\x01\xff"} {
		if _, err := w.store.Put(t.Context(), store.Entry{ID: fmt.Sprint("broken-", i), Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := w.hub.Page(t.Context(), async.Query{})
	wantNil(t, err)
	if len(p.Callbacks) != 3 || p.Skipped != 4 || p.Looked != 6 {
		t.Errorf("the page has %d callbacks, %d skipped, %d looked at, want 3, 4 and 6", len(p.Callbacks), p.Skipped, p.Looked)
	}
	s, err := w.hub.Stats(t.Context())
	wantNil(t, err)
	if s.Unreadable != 4 {
		t.Errorf("%d entries are unreadable, want 4", s.Unreadable)
	}
}

func TestPageRefusesWhatIsOutOfRange(t *testing.T) {
	w := newWorld(t)
	for _, q := range []async.Query{
		{Limit: -1}, {Limit: 501}, {Look: -1}, {Look: 10_001}, {Overdue: -1}, {After: "a b"}, {After: strings.Repeat("x", 200)}, {State: -1}, {State: 4},
	} {
		_, err := w.hub.Page(t.Context(), q)
		wantErr(t, err, async.ErrInvalidArgument)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.hub.Page(ctx, async.Query{})
	wantErr(t, err, context.Canceled)
}

func TestPageFindsWhatNeedsAttention(t *testing.T) {
	w := newWorld(t)
	w.completer.CompleteFunc = unavailable
	id := w.start(1, async.StartOptions{})
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	for q, want := range map[*async.Query]int{
		{Failing: true}: 1, {Overdue: time.Nanosecond}: 1, {Overdue: time.Hour}: 0, {State: async.Settled}: 1, {State: async.Waiting}: 0,
	} {
		if ids, _ := w.pages(*q); len(ids) != want {
			t.Errorf("%+v selects %d entries, want %d", *q, len(ids), want)
		}
	}
	w.change(func(r *record.Record) { r.Outcome.Settled -= int64(2 * time.Hour) })
	p, err := w.hub.Page(t.Context(), async.Query{Overdue: time.Hour})
	wantNil(t, err)
	if len(p.Callbacks) != 1 {
		t.Fatal("what is settled for long is not found")
	}
	i := p.Callbacks[0].Info()
	if i.Class != "unavailable" || i.Deliveries != 1 || i.NextDelivery.IsZero() || i.Late.IsZero() || !i.Since.Equal(i.Settled) || i.Due.IsZero() {
		t.Errorf("the entry's Info is %+v", i)
	}
}

func TestFind(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	info := w.open(id).Info()
	c, err := w.hub.Find(t.Context(), info.ID)
	wantNil(t, err)
	if c.ID() != id {
		t.Errorf("found %v, want %v", c, id)
	}
	secret := id[len(info.ID):]
	for _, wrong := range []string{"", "x", id, secret, strings.Repeat("A", len(info.ID)), strings.Repeat(" ", len(info.ID))} {
		_, err := w.hub.Find(t.Context(), wrong)
		wantErr(t, err, async.ErrNotFound)
		if err != nil && strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	_, err = (*async.Hub)(nil).Find(t.Context(), info.ID)
	wantErr(t, err, async.ErrNotFound)
}
