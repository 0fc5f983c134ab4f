package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// BenchmarkAccept answers through a hub that only settles, with 64 callers. The
// measured time includes Open. x-bare is the hub's throughput, divided by that
// of reads and writes of equal entries in the same store.
func BenchmarkAccept(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			a := newAccepting(b, openStore(b, kind.start(b).url))
			compare(b, 20*time.Second, kind.round, "x-bare",
				func() time.Duration { return timed(b, a.fillBare(b, kind.round), a.bare) },
				func() time.Duration { return timed(b, a.fill(b, kind.round), a.answer) })
		})
	}
}

// BenchmarkHandler is BenchmarkAccept over HTTP. BenchmarkHandler compares the
// handler of package webhook with a bare net/http handler that decodes the
// answer, and reads and writes an entry of the same size.
func BenchmarkHandler(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			a := newAccepting(b, openStore(b, kind.start(b).url))
			typ, err := answer.For[Decision](answer.TypeOptions{})
			must(b, err)
			handler, err := webhook.New(a.hub, webhook.Options{Types: []answer.Type{typ}, Logger: quiet})
			must(b, err)
			ours, bare := post(b, handler, "/complete"), post(b, http.HandlerFunc(a.serveBare), "")
			var took, theirs latencies
			compare(b, 20*time.Second, kind.round, "x-bare",
				func() time.Duration { return timed(b, a.fillBare(b, kind.round), theirs.of(bare)) },
				func() time.Duration { return timed(b, a.fill(b, kind.round), took.of(ours)) })
			took.report(b, "")
			theirs.report(b, "bare-")
		})
	}
}

// accepting is a hub that only settles, and a template of a waiting activity.
type accepting struct {
	hub       *async.Hub
	store     store.Store
	namespace string
	template  store.Entry
	secret    string
	size      int // size of the entry after it is settled
}

// numbered counts the stored entries, so that each gets an ID of its own.
var numbered atomic.Int64

var quiet = slog.New(slog.DiscardHandler)

func newAccepting(b *testing.B, s store.Store) *accepting {
	b.Helper()
	a := &accepting{store: s}
	var err error
	a.hub, err = async.New(async.Options{Store: s, Logger: quiet})
	must(b, err)
	id := a.ask(b)
	a.template, err = s.Get(b.Context(), id[:entryID])
	must(b, err)
	a.secret = id[entryID:]
	must(b, a.answer(b.Context(), id))
	settled, err := s.Get(b.Context(), id[:entryID])
	must(b, err)
	a.size = len(settled.Body)
	must(b, s.Delete(b.Context(), settled.ID, settled.Version))
	a.template.Version = 0
	return a
}

// entryID is the length of the entry's ID at the start of a callback ID.
const entryID = 32

// ask runs an activity that waits, and returns its callback ID.
func (a *accepting) ask(b *testing.B) (id string) {
	b.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
		a.namespace = activity.GetInfo(ctx).Namespace
		return async.Start(ctx, a.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
	}, activity.RegisterOptions{Name: "ask"})
	if _, err := env.ExecuteActivity("ask"); err != activity.ErrResultPending {
		b.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	return id
}

// fill stores n waiting activities, and returns their callback IDs. The secret
// is in the body, so entries with equal bodies have the same secret.
func (a *accepting) fill(b *testing.B, n int) []string {
	b.Helper()
	return a.put(b, n, a.template.Due, a.template.Body, a.secret)
}

// fillBare stores n entries of the size of a settled entry, and returns their
// IDs.
func (a *accepting) fillBare(b *testing.B, n int) []string {
	b.Helper()
	return a.put(b, n, a.template.Due, make([]byte, a.size), "")
}

func (a *accepting) put(b *testing.B, n int, due time.Time, body []byte, secret string) []string {
	b.Helper()
	ids := make([]string, n)
	first := numbered.Add(int64(n)) - int64(n)
	var failed atomic.Pointer[error]
	each(n, answerers, func(i int) {
		e := store.Entry{ID: fmt.Sprintf("%010d%s", first+int64(i), a.template.ID[10:]), Due: due, Body: body}
		if _, err := a.store.Put(b.Context(), e); err != nil {
			failed.Store(&err)
		}
		ids[i] = e.ID + secret
	})
	check(b, &failed)
	return ids
}

// answer makes the calls of a handler of callbacks.
func (a *accepting) answer(ctx context.Context, id string) error {
	p, err := async.Open[Decision](ctx, a.hub, id)
	if err != nil {
		return err
	}
	return p.Complete(ctx, approved)
}

// bare reads an entry and writes it back.
func (a *accepting) bare(ctx context.Context, id string) error {
	e, err := a.store.Get(ctx, id)
	if err == nil {
		e.Due = e.Due.Add(time.Second)
		_, err = a.store.Put(ctx, e)
	}
	return err
}

func (a *accepting) serveBare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	var d Decision
	if err == nil {
		err = json.Unmarshal(body, &d)
	}
	if err == nil {
		err = a.bare(r.Context(), r.URL.Path[1:])
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"state":"settled"}`))
}

// post returns a function that sends an answer to a server with this handler.
func post(b *testing.B, h http.Handler, action string) func(ctx context.Context, id string) error {
	b.Helper()
	server := httptest.NewServer(h)
	b.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: answerers}}
	return func(ctx context.Context, id string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/"+id+action, strings.NewReader(`{"Approved":true,"By":"Ann"}`))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", answer.StatusCode)
		}
		return errors.Join(err, answer.Body.Close())
	}
}

// timed calls a function for each ID from 64 goroutines, and returns the total
// time.
func timed(b *testing.B, ids []string, do func(ctx context.Context, id string) error) time.Duration {
	b.Helper()
	runtime.GC()
	var failed atomic.Pointer[error]
	begun := time.Now()
	each(len(ids), answerers, func(i int) {
		if err := do(b.Context(), ids[i]); err != nil {
			failed.Store(&err)
		}
	})
	took := time.Since(begun)
	check(b, &failed)
	return took
}
