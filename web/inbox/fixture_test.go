package inbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// Decision is the result type of most tests.
type Decision struct {
	Approved bool         `json:"approved"`
	Limit    int64        `json:"limit,omitempty" jsonschema:"the limit in cents"`
	Level    string       `json:"level,omitempty"`
	From     *time.Time   `json:"from,omitempty"`
	Tags     []string     `json:"tags,omitempty"`
	Decided  []inbox.Vote `json:"decided,omitempty"`
}

func (Decision) ResultType() string { return "expenses.Decision" }

func (d *Decision) SetDecided(by []inbox.Vote) { d.Decided = by }

// people is the directory of the tests.
var people = map[string]inbox.Person{
	"ada": {ID: "ada", Name: "Ada", Groups: []string{"finance"}},
	"bob": {ID: "bob", Name: "Bob", Groups: []string{"finance", "managers"}},
	"cyd": {ID: "cyd", Name: "Cyd", Groups: []string{"sales"}},
	"eve": {ID: "eve", Name: "Eve", Groups: []string{"finance"}},
}

// rig is an inbox with its hub and store.
type rig struct {
	t        *testing.T
	temporal *asynctest.Completer
	store    store.Store
	hub      *async.Hub
	box      *inbox.Inbox
	keys     *webhook.Keys
	opened   atomic.Int64 // number of links that were opened
	log      *lockedBuffer

	mu     sync.Mutex
	people map[string]inbox.Person // may change
	shown  strings.Builder         // all responses
	ids    []string                // callback IDs, which must not be shown
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func mustFor[T any](t testing.TB) answer.Type {
	t.Helper()
	typ, err := answer.For[T](answer.TypeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func newRig(t *testing.T, change ...func(*inbox.Options)) *rig {
	t.Helper()
	r := &rig{
		t: t, temporal: new(asynctest.Completer), store: store.NewMemory(), log: new(lockedBuffer), people: make(map[string]inbox.Person),
		keys: &webhook.Keys{Keys: map[string][]byte{"k1": []byte("0123456789abcdef0123456789abcdef")}, Active: "k1"},
	}
	r.keys.Used = func(string) { r.opened.Add(1) }
	maps.Copy(r.people, people)
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.hub = asynctest.NewHub(t, async.Options{Store: r.store, Completer: r.temporal, Logger: logger, DeliveryWait: time.Minute})
	o := inbox.Options{
		Types: []answer.Type{mustFor[Decision](t)}, Links: r.keys, Logger: logger,
		Identify: func(w http.ResponseWriter, req *http.Request) (inbox.Person, error) {
			if p, err := r.lookup(req.Context(), req.Header.Get("X-Person")); err == nil {
				return p, nil
			}
			http.Error(w, "who are you", http.StatusUnauthorized)
			return inbox.Person{}, errors.New("unknown")
		},
		Lookup: r.lookup,
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if r.box, err = inbox.New(r.hub, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		all := r.shown.String() + r.log.String()
		for _, id := range r.ids {
			if strings.Contains(all, id) || strings.Contains(all, id[len(id)-22:]) {
				t.Errorf("a callback ID or its secret is shown or logged")
			}
		}
	})
	return r
}

func (r *rig) lookup(_ context.Context, id string) (inbox.Person, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.people[id]
	if !ok {
		return p, fmt.Errorf("no person has the ID %q", id)
	}
	return p, nil
}

// regroup moves a person to other groups.
func (r *rig) regroup(id string, groups ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[id]
	p.Groups = groups
	r.people[id] = p
}

// posted is a waiting request.
type posted struct{ id, path string }

// post runs an activity that posts a request.
func (r *rig) post(req inbox.Request) posted {
	r.t.Helper()
	p, err := r.tryPost(req)
	if err != activity.ErrResultPending {
		r.t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	return p
}

func (r *rig) tryPost(req inbox.Request) (p posted, err error) {
	return postOn[Decision](r.hub, r.box, async.StartOptions{}, req, func(id string) { r.ids = append(r.ids, id) })
}

func postOn[T any](h *async.Hub, box *inbox.Inbox, o async.StartOptions, req inbox.Request, saw func(id string)) (p posted, err error) {
	run := func(ctx context.Context) (T, error) {
		return async.Start(ctx, h, o, func(ctx context.Context, c async.Pending[T]) error {
			saw(c.ID())
			path, err := box.Post(ctx, c.Callback, req)
			p = posted{c.ID(), path}
			return err
		})
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: "run"})
	_, err = env.ExecuteActivity("run")
	return p, err
}

// callback opens the callback of a posted request.
func (r *rig) callback(p posted) async.Callback {
	r.t.Helper()
	c, err := r.hub.Open(r.t.Context(), p.id)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// link returns the path of a link.
func (r *rig) link(p posted, to string) string {
	r.t.Helper()
	link, err := r.box.Link("https://example.com/inbox", r.callback(p), to, time.Now().Add(time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimPrefix(link, "https://example.com/inbox")
}

// send makes a request.
func (r *rig) send(method, path, person, body string, headers ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, "https://example.com"+path, strings.NewReader(body))
	if person != "" {
		req.Header.Set("X-Person", person)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.box.ServeHTTP(w, req)
	r.shown.WriteString(w.Body.String())
	return w
}

const asForm = "application/x-www-form-urlencoded"

// way is a way to use the inbox.
type way struct {
	name string
	act  func(r *rig, p posted, person string, form url.Values) string // returns the code of the refusal, or "ok"
	read func(r *rig, p posted, person string) string                  // "ok", or the code of the refusal
}

func codeOf(status int, body string) string {
	switch {
	case status == http.StatusSeeOther || status == http.StatusOK:
		return "ok"
	case status == http.StatusForbidden:
		return "forbidden"
	case status == http.StatusConflict:
		return "conflict"
	case status == http.StatusUnprocessableEntity:
		return "invalid"
	case status == http.StatusNotFound:
		return "not found"
	default:
		return fmt.Sprint(status)
	}
}

// ways are all ways to use the inbox.
var ways = []way{
	{"page", func(r *rig, p posted, person string, form url.Values) string {
		w := r.send("POST", "/"+p.path, person, form.Encode(), "Content-Type", asForm)
		return codeOf(w.Code, w.Body.String())
	}, func(r *rig, p posted, person string) string {
		w := r.send("GET", "/"+p.path, person, "")
		return codeOf(w.Code, w.Body.String())
	}},
	{"JSON", func(r *rig, p posted, person string, form url.Values) string {
		w := r.send("POST", "/"+p.path, person, asJSON(form), "Content-Type", "application/json")
		return codeOf(w.Code, w.Body.String())
	}, func(r *rig, p posted, person string) string {
		w := r.send("GET", "/"+p.path, person, "", "Accept", "application/json")
		return codeOf(w.Code, w.Body.String())
	}},
	{"link", func(r *rig, p posted, person string, form url.Values) string {
		form = url.Values(http.Header(form).Clone())
		form.Set("_name", "Someone")
		w := r.send("POST", r.link(p, person), "", form.Encode(), "Content-Type", asForm)
		return codeOf(w.Code, w.Body.String())
	}, func(r *rig, p posted, person string) string {
		w := r.send("GET", r.link(p, person), "", "")
		return codeOf(w.Code, w.Body.String())
	}},
	{"adapter", func(r *rig, p posted, person string, form url.Values) string {
		who, err := r.lookup(context.Background(), person)
		if err != nil {
			return "forbidden"
		}
		return codeOfError(r.box.Decide(r.t.Context(), p.path, who, form))
	}, nil},
}

func codeOfError(err error) string {
	if refusal, ok := errors.AsType[*inbox.Refusal](err); ok {
		if slices.Contains([]string{"not-asked", "barred", "may"}, refusal.Code) {
			return "forbidden"
		}
		return "conflict"
	}
	status, _ := webhook.Status(err)
	return codeOf(status, "")
}

// asJSON returns a form as a program sends it.
func asJSON(form url.Values) string {
	members := make(map[string]json.RawMessage)
	out := make(map[string]any)
	for name, values := range form {
		switch name {
		case "_do", "_comment", "_to":
			out[name[1:]] = values[0]
		default:
			members[name] = json.RawMessage(values[0])
		}
	}
	if out["do"] == nil || out["do"] == "vote" {
		out["answer"] = members
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func yes() url.Values { return url.Values{"approved": {"true"}} }
func no() url.Values  { return url.Values{"approved": {"false"}} }

func (r *rig) wantState(p posted, want async.State) {
	r.t.Helper()
	if got := r.callback(p).Info().State; got != want {
		r.t.Errorf("the activity is %v, want %v", got, want)
	}
}

// result returns the outcome that Temporal got.
func (r *rig) result() (d Decision) {
	r.t.Helper()
	calls := r.temporal.Completed()
	if len(calls) != 1 {
		r.t.Fatalf("Temporal has %d outcomes, want 1", len(calls))
	}
	if err := json.Unmarshal(calls[0].Outcome.Result.Payloads[0].Data, &d); err != nil {
		r.t.Fatal(err)
	}
	return d
}

func serve(t *testing.T, h http.Handler, method, path, body, mediaType string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "https://example.com"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", mediaType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}
