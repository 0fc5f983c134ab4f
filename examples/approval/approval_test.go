package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/devserver/devtest"
	"github.com/latchkey-go/latchkey/store"
)

var server devtest.Shared

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// patience bounds every wait, and guards against hanging only.
const patience = 5 * time.Minute

// site is a page with a worker of its own, on the shared server.
type site struct {
	t    *testing.T
	desk *Desk
	url  string
}

func newSite(t *testing.T) *site {
	t.Helper()
	c := server.Client(t)
	reporter, err := completer.New(completer.Client{Client: c, Options: server.Server(t).ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	entries := store.NewMemory()
	t.Cleanup(func() {
		if err := entries.Close(); err != nil {
			t.Error(err)
		}
	})
	hub, err := async.New(async.Options{Store: entries, Completer: reporter})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	results := NewResults(ctx, c, func(string) {})
	t.Cleanup(func() {
		cancel()
		results.Wait()
	})
	desk := &Desk{hub: hub, client: c, queue: "approval-" + rand.Text(), results: results}
	ask := func(context.Context, Expense, string) error { return nil }
	w := newWorker(c, desk.queue, func(err error) { t.Errorf("the worker failed: %v", err) }, &Activities{hub: hub, ask: ask})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	page := httptest.NewServer(NewPage(desk))
	t.Cleanup(page.Close)
	return &site{t: t, desk: desk, url: page.URL}
}

func (s *site) context() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// do sends a request, follows no redirection, and returns status and body.
func (s *site) do(r *http.Request) (*http.Response, string) {
	s.t.Helper()
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		s.t.Fatal(err)
	}
	return answer, string(body)
}

func (s *site) request(method, path string, form url.Values) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.context(), method, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (s *site) get(path string) (*http.Response, string) {
	s.t.Helper()
	return s.do(s.request(http.MethodGet, path, nil))
}

// post expects a status, and returns the body.
func (s *site) post(want int, path string, form url.Values) string {
	s.t.Helper()
	answer, body := s.do(s.request(http.MethodPost, path, form))
	if answer.StatusCode != want {
		s.t.Errorf("POST of %v: status %d, want %d:\n%s", form, answer.StatusCode, want, body)
	}
	return body
}

// file files an expense on the page, and returns it once it waits.
func (s *site) file(employee string) Item {
	s.t.Helper()
	s.post(http.StatusSeeOther, "/new", url.Values{"employee": {employee}, "purpose": {"a <b>chair</b>"}, "amount": {"1250.00"}})
	var found Item
	s.eventually("the expense waits", func() bool {
		items, err := s.desk.List(s.context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, i := range items {
			if i.Employee() == employee {
				found = i
			}
		}
		return found.ID != ""
	})
	return found
}

func (s *site) eventually(what string, ok func() bool) {
	s.t.Helper()
	eventually(s.t, what, ok)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// stillWaits expects that nothing has answered the expense.
func (s *site) stillWaits(i Item) {
	s.t.Helper()
	again, err := s.desk.Look(s.context(), i.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	if !again.Waits() {
		s.t.Errorf("the expense is %v, want it to wait", again.Info.State)
	}
}

// wantResult expects what the workflow of an expense returns, as Temporal says.
func (s *site) wantResult(i Item, want string) {
	s.t.Helper()
	var got string
	if err := s.desk.client.GetWorkflow(s.context(), i.Info.WorkflowID, i.Info.RunID).Get(s.context(), &got); err != nil {
		s.t.Errorf("the workflow: %v, want the result %q", err, want)
	} else if got != want {
		s.t.Errorf("the workflow returned %q, want %q", got, want)
	}
}
