package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

type Decision struct {
	Approved bool   `json:"approved"`
	By       string `json:"by,omitempty"`
	Cents    int64  `json:"cents,omitempty"`
}

func (Decision) ResultType() string { return "expenses.Decision" }

type Other struct {
	N int `json:"n"`
}

// secret is in every value that tests send, and must be in no response or log
// line.
const secret = "s3cret"

// rig is a handler with its hub and store, and with all of its responses and
// log lines.
type rig struct {
	t        *testing.T
	temporal *asynctest.Completer
	store    *faulty
	hub      *async.Hub
	log      *lockedBuffer
	logger   *slog.Logger
	handler  *webhook.Handler
	api      *apiDocument
	secrets  []string // secrets that must not be in a response or a log line
	answers  strings.Builder
}

// newRig returns the rig of one test. When the test ends, the rig searches for
// secrets.
func newRig(t *testing.T, change ...func(*webhook.Options)) *rig {
	t.Helper()
	r := &rig{t: t, temporal: new(asynctest.Completer), store: &faulty{Store: store.NewMemory()}, log: new(lockedBuffer), secrets: []string{secret}}
	r.logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.hub = asynctest.NewHub(t, async.Options{Store: r.store, Completer: r.temporal, Logger: r.logger})
	o := webhook.Options{Types: []answer.Type{mustFor[Decision](t), mustFor[async.None](t)}, Logger: r.logger}
	for _, c := range change {
		c(&o)
	}
	var err error
	if r.handler, err = webhook.New(r.hub, o); err != nil {
		t.Fatal(err)
	}
	r.api = readAPI(t, r.handler.OpenAPI())
	t.Cleanup(r.wantNoLeak)
	return r
}

func mustFor[T any](t testing.TB) answer.Type {
	t.Helper()
	typ, err := answer.For[T](answer.TypeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// start runs an activity until it waits for a T, and returns its callback ID.
func start[T any](r *rig, o async.StartOptions) (id string) {
	r.t.Helper()
	id = startOn[T](r.t, r.hub, o)
	r.secrets = append(r.secrets, id)
	return id
}

func startOn[T any](t testing.TB, h *async.Hub, o async.StartOptions) (id string) {
	t.Helper()
	run := func(ctx context.Context) (T, error) {
		return async.Start(ctx, h, o, func(_ context.Context, p async.Pending[T]) error {
			id = p.ID()
			return nil
		})
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: "run"})
	if _, err := env.ExecuteActivity("run"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	return id
}

func (r *rig) wantNoLeak() {
	seen := r.answers.String() + r.log.String()
	for _, s := range r.secrets {
		if i := strings.Index(seen, s); i >= 0 {
			r.t.Errorf("answers and log show %q:\n%s", s, seen[max(0, i-200):min(len(seen), i+200)])
		}
	}
}

// request is a request that a test sends.
type request struct {
	method, path, body string
	header             map[string]string // "Content-Type" is application/json unless it is set
}

// response is the response to a request.
type response struct {
	status int
	header http.Header
	body   []byte

	Code    string
	State   string
	Retry   bool
	Outcome string
	Signals []string
	Errors  []struct{ Pointer, Detail string }
}

// do sends a request to the handler and compares the response with the OpenAPI
// document.
func (r *rig) do(q request) response {
	r.t.Helper()
	a := r.serve(r.handler, q)
	r.api.check(r.t, q, a)
	return a
}

// serve sends a request to any handler.
func (r *rig) serve(h http.Handler, q request) response {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), q.method, "https://example.com"+q.path, strings.NewReader(q.body))
	if q.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range q.header {
		if req.Header.Del(name); value != "" {
			req.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	a := response{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	r.answers.WriteString(w.Body.String())
	for name, values := range w.Header() {
		r.answers.WriteString(name + ": " + strings.Join(values, ",") + "\n")
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if got := w.Header().Get(name); got != want {
			r.t.Errorf("%s %s: the header %s is %q, want %q", q.method, q.path, name, got, want)
		}
	}
	if len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &a); err != nil {
			r.t.Errorf("%s %s: the body is no JSON: %v\n%s", q.method, q.path, err, a.body)
		}
	}
	if (a.status == http.StatusServiceUnavailable) != (a.header.Get("Retry-After") != "") {
		r.t.Errorf("%s %s: status %d with Retry-After %q", q.method, q.path, a.status, a.header.Get("Retry-After"))
	}
	return a
}

func (r *rig) post(path, body string) response {
	r.t.Helper()
	return r.do(request{method: http.MethodPost, path: path, body: body})
}

func (a response) want(t *testing.T, what string, status int, code string) {
	t.Helper()
	if a.status != status || a.Code != code {
		t.Errorf("%s: status %d with code %q, want %d with %q\n%s", what, a.status, a.Code, status, code, a.body)
	}
}

// wantWaiting fails the test unless nothing was accepted.
func (r *rig) wantWaiting(id string) {
	r.t.Helper()
	c, err := r.hub.Open(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	if i := c.Info(); i.State != async.Waiting {
		r.t.Errorf("the activity is %v, want it to wait", i.State)
	}
}

// faulty is a store that can be unreachable.
type faulty struct {
	store.Store
	mu   sync.Mutex
	away bool
}

var errAway = errors.New("connection refused")

func (f *faulty) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *faulty) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return errAway
	}
	return nil
}

func (f *faulty) Get(ctx context.Context, id string) (store.Entry, error) {
	if err := f.err(); err != nil {
		return store.Entry{}, err
	}
	return f.Store.Get(ctx, id)
}

func (f *faulty) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Store.Put(ctx, e)
}

func (f *faulty) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Claim(ctx, now, until, n)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
