package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
)

// counted is a store that counts the entries that are read for pages.
type counted struct {
	store.Store
	looked  atomic.Int64
	noPages bool
}

func (c *counted) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	if c.noPages {
		return nil, errors.ErrUnsupported
	}
	entries, err := c.Store.(store.Pager).Page(ctx, after, n)
	c.looked.Add(int64(len(entries)))
	return entries, err
}

// lists is an inbox whose lists are tested.
type lists struct {
	t     *testing.T
	store *counted
	box   *inbox.Inbox
	asked map[string]int // the people for whom Options.May was called, by title
	post  func(n int, title string, who string)
}

func newLists(t *testing.T) *lists {
	t.Helper()
	l := &lists{t: t, store: &counted{Store: store.NewMemory()}, asked: make(map[string]int)}
	hub := asynctest.NewHub(t, async.Options{Store: l.store, Logger: slog.New(slog.DiscardHandler)})
	var err error
	l.box, err = inbox.New(hub, inbox.Options{
		Types: []answer.Type{mustFor[Decision](t)}, Logger: slog.New(slog.DiscardHandler),
		Identify: func(_ http.ResponseWriter, r *http.Request) (inbox.Person, error) {
			return people[r.Header.Get("X-Person")], nil
		},
		May: func(_ context.Context, _ inbox.Person, r inbox.Request, _ async.Info) error {
			l.asked[r.Title]++
			if strings.HasPrefix(r.Title, "Secret") {
				return errors.New("not for this person")
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context, key, title, who string) (Decision, error) {
		return async.Start(ctx, hub, async.StartOptions{Key: key}, func(ctx context.Context, p async.Pending[Decision]) error {
			_, err := l.box.Post(ctx, p.Callback, inbox.Request{Title: title, For: []string{who}})
			return err
		})
	}, activity.RegisterOptions{Name: "run"})
	posted := 0
	l.post = func(n int, title, who string) {
		t.Helper()
		for i := range n {
			if _, err := env.ExecuteActivity("run", fmt.Sprintf("key-%d", posted), fmt.Sprint(title, " ", i), who); err != activity.ErrResultPending {
				t.Fatal(err)
			}
			posted++
		}
	}
	return l
}

// listPage is a page of a list as programs see it.
type listPage struct {
	Requests   []struct{ Title string }
	Next       string
	Incomplete bool
}

func (l *lists) get(person, query, accept string) (status int, body string) {
	l.t.Helper()
	r := httptest.NewRequestWithContext(l.t.Context(), "GET", "https://example.com/"+query, nil)
	r.Header.Set("X-Person", person)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	l.box.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// pages reads all pages of a person's list.
func (l *lists) pages(person string) (pages []listPage) {
	l.t.Helper()
	for query := "?"; len(pages) < 100; {
		status, body := l.get(person, query, "application/json")
		var p listPage
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != 200 {
			l.t.Fatalf("page %d: status %d, %v", len(pages), status, err)
		}
		if pages = append(pages, p); p.Next == "" {
			return pages
		}
		query = "?after=" + p.Next
	}
	l.t.Fatal("the list has no end")
	return nil
}

// TestListPages: each request is on one page, and a page has at most 50.
func TestListPages(t *testing.T) {
	for _, noPages := range []bool{false, true} {
		l := newLists(t)
		l.store.noPages = noPages
		l.post(120, "Dinner", "finance")
		l.post(30, "Travel", "sales")
		seen := make(map[string]int)
		for n, p := range l.pages("ada") {
			if len(p.Requests) > 50 || n < 2 && len(p.Requests) != 50 || p.Incomplete {
				t.Errorf("page %d has %d requests, incomplete %v, want 50 on the first pages", n, len(p.Requests), p.Incomplete)
			}
			for _, r := range p.Requests {
				seen[r.Title]++
			}
		}
		for i := range 120 {
			if title := fmt.Sprint("Dinner ", i); seen[title] != 1 {
				t.Errorf("%s is on %d pages, want 1", title, seen[title])
			}
		}
		if len(seen) != 120 {
			t.Errorf("the pages have %d requests, want 120", len(seen))
		}
		_, first := l.get("ada", "", "text/html")
		at := strings.Index(first, `href="./?after=`)
		if at < 0 || strings.Contains(first, "First page") || !strings.Contains(first, "due earlier") {
			t.Fatalf("the first page has no link to the next:\n%s", first)
		}
		address, _, _ := strings.Cut(first[at+len(`href="./`):], `"`)
		if _, next := l.get("ada", address, "text/html"); !strings.Contains(next, `href="./">First page`) || strings.Count(next, `href="i/`) != 50 {
			t.Errorf("the next page is:\n%s", next)
		}
	}
}

// TestListIsBounded: a page reads at most 2,000 entries, however many there
// are. It calls Options.May only for requests to the person.
func TestListIsBounded(t *testing.T) {
	l := newLists(t)
	l.post(2300, "Travel", "sales")
	l.post(1, "Dinner", "finance")
	l.store.looked.Store(0)
	_, body := l.get("ada", "", "application/json")
	if n := l.store.looked.Load(); n > 2000 {
		t.Errorf("a page read %d entries, want at most 2,000", n)
	}
	if !strings.Contains(body, `"next":"`) {
		t.Errorf("a page that looked at a part only has no next one: %s", body)
	}
	if pages := l.pages("ada"); len(pages) != 2 || len(pages[0].Requests)+len(pages[1].Requests) != 1 {
		t.Errorf("the pages are %+v, want two with one request", pages)
	}
	for title := range l.asked {
		if !strings.HasPrefix(title, "Dinner") {
			t.Errorf("May was asked about %q, which is not for the person", title)
			break
		}
	}
	if _, body := l.get("ada", "", "text/html"); strings.Contains(body, "Nothing waits for you") {
		t.Error("the page says that nothing waits, although it has not looked at everything")
	}
}

// TestListLeavesOutWhatMayRefuses: a list does not show what the application's rule
// refuses.
func TestListLeavesOutWhatMayRefuses(t *testing.T) {
	l := newLists(t)
	l.post(1, "Secret dinner", "finance")
	l.post(1, "Dinner", "finance")
	if _, body := l.get("ada", "", "text/html"); strings.Contains(body, "Secret") || !strings.Contains(body, "Dinner 0") {
		t.Errorf("the list is:\n%s", body)
	}
	if pages := l.pages("ada"); len(pages) != 1 || len(pages[0].Requests) != 1 {
		t.Errorf("the pages are %+v, want one with one request", pages)
	}
}

// TestListAddresses: an address that belongs to no page gets 404.
func TestListAddresses(t *testing.T) {
	l := newLists(t)
	if status, _ := l.get("ada", "?after="+strings.Repeat("x", 5000), "text/html"); status != 404 {
		t.Errorf("status %d, want 404", status)
	}
	if status, body := l.get("ada", "?after=zzz", "text/html"); status != 200 || !strings.Contains(body, "Nothing on this page waits for you") {
		t.Errorf("behind the last entry: status %d\n%s", status, body)
	}
}

// TestTemporalIsAskedForReadersOnly: the inbox asks Temporal about a request if
// the person who opens it may see it. For other people, the inbox does not ask
// Temporal.
func TestTemporalIsAskedForReadersOnly(t *testing.T) {
	r := newRig(t)
	asked := 0
	r.temporal.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
		asked++
		return completer.Status{Pending: true, Running: true}, nil
	}
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	for path, person := range map[string]string{"/" + p.path: "cyd", r.link(p, "cyd"): ""} {
		if w := r.send("GET", path, person, ""); w.Code != 403 || asked != 0 {
			t.Errorf("%s by a person who is not asked: status %d, and Temporal was asked %d times, want 403 and 0", path[:3], w.Code, asked)
		}
	}
	if w := r.send("GET", "/"+p.path, "ada", ""); w.Code != 200 || asked != 1 {
		t.Errorf("by a person who is asked: status %d, and Temporal was asked %d times, want 200 and 1", w.Code, asked)
	}
}
