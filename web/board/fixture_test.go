package board_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/board"
)

type Decision struct {
	Approved bool   `json:"approved"`
	By       string `json:"by,omitempty"`
}

func (Decision) ResultType() string { return "expenses.Decision" }

// secret is in every answer that tests give, and must be in no output of the
// board.
const secret = "s3cret-answer"

// rig is a board with its hub and store, and with all of its output and log
// lines.
type rig struct {
	t        *testing.T
	temporal *asynctest.Completer
	store    store.Store
	hub      *async.Hub
	log      *lockedBuffer
	board    *board.Board
	api      *apiDocument

	mu      sync.Mutex
	secrets []string
	said    strings.Builder
	audits  []string
	refuse  func(a board.Action, c async.Callback) error // nil if every action is allowed
	by      string
}

func newRig(t *testing.T, change ...func(*board.Options)) *rig {
	t.Helper()
	return newRigOn(t, store.NewMemory(), change...)
}

func newRigOn(t *testing.T, s store.Store, change ...func(*board.Options)) *rig {
	t.Helper()
	r := &rig{t: t, temporal: new(asynctest.Completer), store: s, log: new(lockedBuffer), secrets: []string{secret}, by: "ada"}
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.hub = asynctest.NewHub(t, async.Options{Store: r.store, Completer: r.temporal, Logger: logger})
	o := board.Options{
		Authorize: func(_ context.Context, _ *http.Request, a board.Action, c async.Callback) (string, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.refuse != nil {
				if err := r.refuse(a, c); err != nil {
					return "", err
				}
			}
			return r.by, nil
		},
		Audit: func(_ context.Context, by string, a board.Action, c async.Callback, why string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.audits = append(r.audits, by+" "+string(a)+" "+c.Info().ID+" "+why)
			return nil
		},
		Types: []answer.Type{mustFor[Decision](t)}, Temporal: "https://temporal.example.com/ui", Logger: logger,
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if r.board, err = board.New(r.hub, o); err != nil {
		t.Fatal(err)
	}
	r.api = readAPI(t, r.board.OpenAPI())
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

// start runs an activity until it waits for a T.
func start[T any](r *rig, o async.StartOptions) async.Callback {
	r.t.Helper()
	var cb async.Callback
	run := func(ctx context.Context) (T, error) {
		return async.Start(ctx, r.hub, o, func(_ context.Context, p async.Pending[T]) error {
			cb = p.Callback
			return nil
		})
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: "approve"})
	if _, err := env.ExecuteActivity("approve"); err != activity.ErrResultPending {
		r.t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	r.plant(cb.ID())
	return cb
}

// plant adds a text that the board must not show.
func (r *rig) plant(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secrets...)
}

// entry starts an activity that waits for a Decision.
func (r *rig) entry(labels map[string]string) (c async.Callback, id string) {
	r.t.Helper()
	c = start[Decision](r, async.StartOptions{Labels: labels})
	return c, c.Info().ID
}

// settled returns an entry whose outcome Temporal refuses.
func (r *rig) settled() (c async.Callback, id string) {
	r.t.Helper()
	c, id = r.entry(nil)
	r.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrRefused }
	if err := (async.Pending[Decision]{Callback: c}).Complete(r.t.Context(), Decision{Approved: true, By: secret}); err != nil {
		r.t.Fatal(err)
	}
	return c, id
}

// info returns the current Info of the entry.
func (r *rig) info(id string) async.Info {
	r.t.Helper()
	c, err := r.hub.Find(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Info()
}

func (r *rig) notes(id string) []string {
	r.t.Helper()
	c, err := r.hub.Find(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for _, n := range c.Notes() {
		list = append(list, n.Kind+" "+n.By+" "+string(n.Data))
	}
	return list
}

// wantNoLeak searches all output and log lines for secrets.
func (r *rig) wantNoLeak() {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := strings.ReplaceAll(r.said.String(), "<wbr>", "") + r.log.String()
	for _, s := range r.secrets {
		if i := strings.Index(seen, s); i >= 0 {
			r.t.Errorf("the board or its log says %q:\n%s", s, seen[max(0, i-200):min(len(seen), i+200)])
		}
	}
}

// response is a response of the board.
type response struct {
	status int
	header http.Header
	body   string

	Code    string
	Detail  string
	OK      bool
	State   string
	Entries []entry
	Next    string
	Looked  int
	Skipped int
	Results []struct {
		ID, Code, State string
		OK              bool
	}
	entry
}

type entry struct {
	ID        string
	Round     string
	Class     string
	Attention string
	End       string
	Evidence  string
	Actions   []string
	Journal   []struct {
		Kind, By string
		Data     json.RawMessage
	}
	Links  []struct{ Title, URL string }
	Labels map[string]string
}

const (
	asPage = "text/html"
	asJSON = "application/json"
)

// do sends a request. A body that begins with { is sent as JSON, and any other
// body as a form.
func (r *rig) do(method, path, accept, body string, header ...string) response {
	r.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(r.t.Context(), method, "https://ops.example.com"+path, in)
	req.Header.Set("Accept", accept)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if strings.HasPrefix(body, "{") {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.board.ServeHTTP(w, req)
	a := response{status: w.Code, header: w.Header(), body: w.Body.String()}
	r.mu.Lock()
	r.said.WriteString(a.body)
	for name, values := range w.Header() {
		r.said.WriteString(name + ": " + strings.Join(values, ",") + "\n")
	}
	r.mu.Unlock()
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script") || strings.Contains(csp, "unsafe") {
		r.t.Errorf("%s %s: the content security policy is %q", method, path, csp)
	}
	if strings.Contains(a.header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			r.t.Errorf("%s %s: the body is no JSON: %v\n%s", method, path, err, a.body)
		}
		r.api.check(r.t, method, path, a)
	} else if low := strings.ToLower(a.body); strings.Contains(low, "<script") || strings.Contains(low, " style=") || strings.Contains(low, " onclick") {
		r.t.Errorf("%s %s: the page has a script or a style of its own", method, path)
	}
	return a
}

func (r *rig) get(path string) response { r.t.Helper(); return r.do("GET", path, asJSON, "") }

func (r *rig) page(path string) response { r.t.Helper(); return r.do("GET", path, asPage, "") }

// post sends a form.
func (r *rig) post(path string, fields ...string) response {
	r.t.Helper()
	return r.do("POST", path, asPage, form(fields...))
}

func form(fields ...string) string {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return v.Encode()
}

func (a response) want(t *testing.T, what string, status int, code string) {
	t.Helper()
	if a.status != status || a.Code != code {
		t.Errorf("%s: status %d with code %q, want %d with %q\n%.600s", what, a.status, a.Code, status, code, a.body)
	}
}

func (a response) wantPage(t *testing.T, what string, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d\n%.900s", what, a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s: the page lacks %q\n%s", what, text, a.body)
		}
	}
}

var errNo = errors.New("not on your shift")

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
