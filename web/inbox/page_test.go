package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
	"github.com/latchkey-go/latchkey/web/webhook"
)

func TestNewRefuses(t *testing.T) {
	r := newRig(t)
	who := func(http.ResponseWriter, *http.Request) (inbox.Person, error) { return inbox.Person{}, nil }
	types := []answer.Type{mustFor[Decision](t)}
	for name, c := range map[string]struct {
		hub  *async.Hub
		o    inbox.Options
		want string
	}{
		"no hub":           {nil, inbox.Options{Types: types, Identify: who}, "hub"},
		"no types":         {r.hub, inbox.Options{Identify: who}, "Options.Types"},
		"a zero type":      {r.hub, inbox.Options{Types: []answer.Type{{}}, Identify: who}, "Types[0]"},
		"a type twice":     {r.hub, inbox.Options{Types: append(types, types...), Identify: who}, "twice"},
		"nobody":           {r.hub, inbox.Options{Types: types}, "Options.Identify is required"},
		"a short key":      {r.hub, inbox.Options{Types: types, Links: &webhook.Keys{Keys: map[string][]byte{"k": []byte("short")}, Active: "k"}}, "32 bytes"},
		"OnPost, no base":  {r.hub, inbox.Options{Types: types, Identify: who, OnPost: func(context.Context, string, inbox.Request, string) error { return nil }}, "Options.Base"},
		"a base of a file": {r.hub, inbox.Options{Types: types, Identify: who, Base: "file:///x"}, "http"},
		"a negative wait":  {r.hub, inbox.Options{Types: types, Identify: who, Wait: -1}, "Wait"},
		"decided required": {r.hub, inbox.Options{Types: []answer.Type{mustFor[Required](t)}, Identify: who}, "omitempty"},
		"a name with _":    {r.hub, inbox.Options{Types: []answer.Type{mustFor[Underscore](t)}, Identify: who}, "_do"},
		"a stray template": {r.hub, inbox.Options{Types: types, Identify: who, Templates: template.Must(template.New("lsit").Parse("x"))}, "lsit"},
	} {
		if _, err := inbox.New(c.hub, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.want)
		}
	}
}

// Required is a type whose required names include those that SetDecided sets.
type Required struct {
	By []inbox.Vote `json:"by"`
}

func (r *Required) SetDecided(by []inbox.Vote) { r.By = by }

type Underscore struct {
	Do string `json:"_do"`
}

// TestOnlyPostsAct: GET and HEAD change nothing, whatever they contain.
func TestOnlyPostsAct(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	link := r.link(p, "ada")
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, path := range []string{"/" + p.path, link} {
			w := r.send(method, path+"?approved=true&_do=vote&_name=Ada", "ada", "approved=true&_name=Ada", "Content-Type", asForm)
			if want := method == "GET" || method == "HEAD"; want != (w.Code == 200) {
				t.Errorf("%s %s: %d", method, path[:3], w.Code)
			}
		}
	}
	if n := len(r.callback(p).Notes()); n != 1 {
		t.Errorf("%d notes are there, want the request alone", n)
	}
	r.wantState(p, async.Waiting)
}

// TestScripts: if a script sends a form, the page is shown again.
func TestScripts(t *testing.T) {
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	const safari = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"
	for _, c := range []struct {
		name string
		h    []string
		acts bool
	}{
		{"a click in Chromium", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "User-Agent", chrome}, true},
		{"a scripted submit in Chromium", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "User-Agent", chrome}, false},
		{"fetch in Chromium", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "User-Agent", chrome}, false},
		{"a click in Safari", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "User-Agent", safari}, true},
		{"fetch in Safari", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "User-Agent", safari}, false},
		{"a browser without these headers", []string{"Origin", "https://example.com", "User-Agent", chrome}, true},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "User-Agent", chrome}, false},
		{"another site, an old browser", []string{"Origin", "https://example.org"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
			q := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
			for path, person := range map[string]string{"/" + p.path: "ada", r.link(q, "ada"): ""} {
				w := r.send("POST", path, person, "approved=true&_name=Ada", append(c.h, "Content-Type", asForm)...)
				if (w.Code == 303) != c.acts || !c.acts && w.Code != 403 {
					t.Errorf("%s: %d, want it to act: %v", path[:3], w.Code, c.acts)
				}
			}
			want := async.Waiting
			if c.acts {
				want = async.Closed
			}
			r.wantState(p, want)
			r.wantState(q, want)
		})
	}
}

// TestHeaders: no page can be framed, be cached, or run a script.
func TestHeaders(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	for _, path := range []string{"/", "/" + p.path, r.link(p, "ada"), "/nothing", "/i/nothing", "/l/nothing"} {
		w := r.send("GET", path, "ada", "")
		h := w.Result().Header
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy is %q", path, csp)
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: the headers are %v", path, h)
		}
		if body := w.Body.String(); strings.Contains(body, "<script") || strings.Contains(body, " style=") || strings.Contains(body, " on") && strings.Contains(body, "onclick") {
			t.Errorf("%s has a script or a style of its own", path)
		}
	}
	if w := r.send("GET", "/style.css", "", ""); w.Code != 200 || !strings.HasPrefix(w.Result().Header.Get("Content-Type"), "text/css") {
		t.Errorf("the style: %d", w.Code)
	}
}

// TestIdentify: a request without a known person gets Identify's answer, or
// 401.
func TestIdentify(t *testing.T) {
	for name, c := range map[string]struct {
		identify func(w http.ResponseWriter, r *http.Request) (inbox.Person, error)
		want     int
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) (inbox.Person, error) {
			http.Redirect(w, r, "https://id.example.com/", http.StatusFound)
			return inbox.Person{}, errors.New("signed out")
		}, 302},
		"no answer": {func(http.ResponseWriter, *http.Request) (inbox.Person, error) {
			return inbox.Person{}, errors.New("signed out")
		}, 401},
		"nobody":          {func(http.ResponseWriter, *http.Request) (inbox.Person, error) { return inbox.Person{}, nil }, 401},
		"an ID of spaces": {func(http.ResponseWriter, *http.Request) (inbox.Person, error) { return inbox.Person{ID: " "}, nil }, 401},
	} {
		r := newRig(t, func(o *inbox.Options) { o.Identify = c.identify })
		p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance", " "}[:1]})
		for _, method := range []string{"GET", "POST"} {
			if w := r.send(method, "/"+p.path, "", "approved=true", "Content-Type", asForm); w.Code != c.want {
				t.Errorf("%s, %s: %d, want %d", name, method, w.Code, c.want)
			}
		}
		if w := r.send("GET", "/", "", ""); w.Code != c.want {
			t.Errorf("%s, the list: %d, want %d", name, w.Code, c.want)
		}
		r.wantState(p, async.Waiting)
	}
	r := newRig(t, func(o *inbox.Options) { o.Identify = nil })
	p := r.post(inbox.Request{Title: "Dinner"})
	for _, path := range []string{"/", "/" + p.path} {
		if w := r.send("GET", path, "ada", ""); w.Code != 404 {
			t.Errorf("without Identify %s is %d, want 404", path, w.Code)
		}
	}
	r = newRig(t, func(o *inbox.Options) { o.Links = nil })
	if w := r.send("GET", "/l/k1.xxx", "", ""); w.Code != 404 {
		t.Errorf("without Links a link is %d, want 404", w.Code)
	}
}

// TestLinksAreOfOneKind: a link to a page opens no handler of package webhook,
// which does not check the rules. A link to a webhook handler opens no page.
func TestLinksAreOfOneKind(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	h, err := webhook.New(r.hub, webhook.Options{Types: []answer.Type{mustFor[Decision](t)}, Keys: r.keys})
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimPrefix(r.link(p, "ada"), "/l/")
	for _, path := range []string{"", "/complete", "/fail", "/reject", "/cancel", "/heartbeat"} {
		method := "POST"
		if path == "" {
			method = "GET"
		}
		if w := serve(t, h, method, "/"+token+path, `{"approved":true}`, "application/json"); w.Code != 403 {
			t.Errorf("%s with a link of the inbox: %d, want 403", path, w.Code)
		}
	}
	other, err := r.keys.Seal(webhook.Claims{ID: p.id, Allow: webhook.Complete | webhook.Look, Expires: time.Now().Add(time.Hour), For: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if w := r.send("POST", "/l/"+other, "", "approved=true&_name=Ada", "Content-Type", asForm); w.Code != 403 {
		t.Errorf("a link of webhook in the inbox: %d, want 403", w.Code)
	}
	old, err := r.keys.Seal(webhook.Claims{ID: p.id, Allow: webhook.Decide, Expires: time.Now().Add(-time.Hour), For: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if w := r.send("POST", "/l/"+old, "", "approved=true&_name=Ada", "Content-Type", asForm); w.Code != 410 {
		t.Errorf("an expired link: %d, want 410", w.Code)
	}
	if w := r.send("POST", "/l/"+token[:len(token)-1], "", "approved=true&_name=Ada", "Content-Type", asForm); w.Code != 404 {
		t.Errorf("a link that is cut: %d, want 404", w.Code)
	}
	r.wantState(p, async.Waiting)
}

// TestSecondPerson: a person who answers after the decision sees the accepted
// answer.
func TestSecondPerson(t *testing.T) {
	for form, want := range map[string]string{"approved=true": "your answer is the same", "approved=false": "your answer is a different one"} {
		r := newRig(t)
		p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
		if w := r.send("POST", "/"+p.path, "ada", "approved=true&_comment=go+ahead", "Content-Type", asForm); w.Code != 303 || w.Result().Header.Get("Location") != strings.TrimPrefix(p.path, "i/")+"?done=vote" {
			t.Fatalf("the first answer: %d to %q", w.Code, w.Result().Header.Get("Location"))
		}
		w := r.send("POST", "/"+p.path, "bob", form, "Content-Type", asForm)
		body := w.Body.String()
		for _, text := range []string{want, "Ada", "go ahead", "The workflow has the answer", "Decided on", "Yes"} {
			if !strings.Contains(body, text) {
				t.Errorf("after %s the page lacks %q:\n%s", form, text, body)
			}
		}
		if strings.Contains(body, "Send answer") {
			t.Error("the page has a form although the request is decided")
		}
	}
}

// TestOnItsWay: while Temporal is away, the page says that the answer is
// accepted.
func TestOnItsWay(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	away := true
	r.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
		if away {
			return errors.New("connection refused")
		}
		return nil
	}
	r.decide(p, "ada", yes())
	if body := r.send("GET", "/"+p.path+"?done=vote", "bob", "").Body.String(); !strings.Contains(body, "It is on its way to the workflow") || strings.Contains(body, "has the answer") {
		t.Errorf("while Temporal is away the page says:\n%s", body)
	}
	if body := r.send("GET", "/"+p.path, "bob", "", "Accept", "application/json").Body.String(); !strings.Contains(body, `"state":"settled","delivered":false`) {
		t.Errorf("while Temporal is away a program gets %s", body)
	}
}

// TestOtherWays: if a round was answered without the inbox, its page says so.
func TestOtherWays(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}, Needs: 2})
	r.decide(p, "ada", yes())
	if err := r.callback(p).Reject(t.Context(), errors.New("the order was withdrawn")); err != nil {
		t.Fatal(err)
	}
	body := r.send("GET", "/"+p.path, "bob", "").Body.String()
	if !strings.Contains(body, "not on this page: with a failure") || strings.Contains(body, "withdrawn") || strings.Contains(body, ">Decided<") {
		t.Errorf("the page says:\n%s", body)
	}
}

// TestList: the list shows the requests that wait for a person, the most urgent
// first.
func TestList(t *testing.T) {
	r := newRig(t)
	at := func(h int) time.Time { return time.Now().Add(time.Duration(h) * time.Hour) }
	for _, req := range []inbox.Request{
		{Title: "no date", For: []string{"finance"}},
		{Title: "tomorrow", For: []string{"finance"}, Due: at(24)},
		{Title: "overdue", For: []string{"ada"}, Due: at(-1)},
		{Title: "of others", For: []string{"sales"}},
		{Title: "barred", For: []string{"finance"}, NotBy: []string{"ada"}},
		{Title: "by link", NotBy: []string{"bob"}},
	} {
		r.post(req)
	}
	claimed := r.post(inbox.Request{Title: "claimed", For: []string{"finance"}, Due: at(48)})
	r.decide(claimed, "bob", url.Values{"_do": {"claim"}})
	voted := r.post(inbox.Request{Title: "answered", For: []string{"finance"}, Needs: 2})
	r.decide(voted, "ada", yes())
	decided := r.post(inbox.Request{Title: "decided", For: []string{"finance"}})
	r.decide(decided, "ada", yes())
	var list struct {
		Requests []struct {
			Title    string
			Answered bool
		}
		Next       string
		Incomplete bool
	}
	w := r.send("GET", "/", "ada", "", "Accept", "application/json")
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list.Requests {
		got = append(got, e.Title)
	}
	if want := "overdue, tomorrow, claimed, no date, answered"; strings.Join(got, ", ") != want || list.Next != "" || list.Incomplete || !list.Requests[4].Answered {
		t.Errorf("the list is %q, next %q, want %q", strings.Join(got, ", "), list.Next, want)
	}
	body := r.send("GET", "/", "ada", "").Body.String()
	for _, text := range []string{"Overdue", "Claimed by <bdi>Bob</bdi>", "1 answer, needs 2", "Answered by you"} {
		if !strings.Contains(body, text) {
			t.Errorf("the page lacks %q:\n%s", text, body)
		}
	}
	if body := r.send("GET", "/", "cyd", "").Body.String(); !strings.Contains(body, "of others") || strings.Contains(body, "tomorrow") {
		t.Error("another person sees the requests of finance")
	}
}

// TestTemplates: the application replaces parts of the pages.
func TestTemplates(t *testing.T) {
	// As with ParseFS, the set has a template that only defines other
	// templates.
	own := template.Must(template.New("header.html").Parse("\n{{define \"header\"}}<title>ACME: {{.Title}}</title>{{end}}\n"))
	r := newRig(t, func(o *inbox.Options) { o.Templates = own })
	p := r.post(inbox.Request{Title: "Dinner <3", For: []string{"finance"}})
	if body := r.send("GET", "/"+p.path, "ada", "").Body.String(); !strings.HasPrefix(body, "<title>ACME: Dinner &lt;3</title>") || !strings.Contains(body, "Send answer") {
		t.Errorf("the page is:\n%s", body)
	}
}

// TestTyped: the typed text stays if the form has an error.
func TestTyped(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	w := r.send("POST", "/"+p.path, "ada", "approved=true&limit=many&_comment=for+the+team", "Content-Type", asForm)
	body := w.Body.String()
	for _, text := range []string{`value="true" checked`, `value="many"`, "for the team", "must be a whole number", `aria-invalid="true"`, `role="alert"`} {
		if !strings.Contains(body, text) {
			t.Errorf("the page lacks %q:\n%s", text, body)
		}
	}
	if w := r.send("GET", "/"+p.path, "ada", ""); strings.Contains(w.Body.String(), "checked") {
		t.Error("a choice is made before the person has chosen")
	}
}

// TestStoreFails: if it is unknown whether an answer was accepted, the page
// says so.
func TestStoreFails(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, headers := range [][]string{{"Content-Type", asForm}, {"Content-Type", "application/json"}} {
		w := r.send("POST", "/"+p.path, "ada", "approved=true", headers...)
		if w.Code != 503 || !strings.Contains(w.Body.String(), "Try again") {
			t.Errorf("%v: %d %s, want 503 and what to do", headers, w.Code, w.Body)
		}
	}
}
