package main

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestDecideOnThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, c := range map[string]struct {
		form   url.Values
		leads  func(i Item) string
		result string
	}{
		"approve": {
			url.Values{"answer": {"approve"}, "by": {" Kay "}, "reason": {""}},
			func(i Item) string { return link(i.ID) },
			"approve, a <b>chair</b> (€1,250.00): approved by Kay",
		},
		"reject": {
			url.Values{"answer": {"reject"}, "by": {"Kay"}, "reason": {"too <dear>"}, "from": {"list"}},
			func(Item) string { return "/" },
			"reject, a <b>chair</b> (€1,250.00): rejected by Kay: too <dear>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &site{t: t, desk: s.desk, url: s.url}
			item := s.file(name)
			if _, body := s.get("/"); !strings.Contains(body, `<form method="post" action="`+link(item.ID)+`">`) {
				t.Errorf("the list has no form for the expense that waits:\n%s", body)
			}
			if _, body := s.get(link(item.ID)); !strings.Contains(body, "€1,250.00") || !strings.Contains(body, "<form ") {
				t.Errorf("the expense's own page has no amount, or no form:\n%s", body)
			}

			answer, body := s.do(s.request(http.MethodPost, link(item.ID), c.form))
			if got, want := answer.Header.Get("Location"), c.leads(item); answer.StatusCode != http.StatusSeeOther || got != want {
				t.Fatalf("status %d, which leads to %q, want %d and %q:\n%s", answer.StatusCode, got, http.StatusSeeOther, want, body)
			}
			s.wantResult(item, c.result)
			for _, path := range []string{"/", link(item.ID)} {
				shown := html.EscapeString(c.result)
				s.eventually("the page shows the result", func() bool {
					_, body := s.get(path)
					return strings.Contains(body, shown) && !strings.Contains(body, `action="`+link(item.ID))
				})
			}
		})
	}
}

func TestOnlyPostDecides(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	item := s.file("Ada")
	form := url.Values{"answer": {"approve"}, "by": {"a mail scanner"}}
	for method, want := range map[string]int{
		http.MethodGet: http.StatusOK, http.MethodHead: http.StatusOK,
		http.MethodPut: http.StatusNotFound, http.MethodDelete: http.StatusNotFound, http.MethodPatch: http.StatusNotFound,
	} {
		r := s.request(method, link(item.ID)+"?"+form.Encode(), form)
		if answer, _ := s.do(r); answer.StatusCode != want {
			t.Errorf("%s: status %d, want %d", method, answer.StatusCode, want)
		}
	}
	// Nor do a POST's parameters that stand in the address.
	s.post(http.StatusUnprocessableEntity, link(item.ID)+"?"+form.Encode(), url.Values{})
	s.post(http.StatusUnprocessableEntity, link(item.ID)+"?answer=approve", url.Values{"by": {"Kay"}})
	s.post(http.StatusUnprocessableEntity, link(item.ID)+"?by=Kay", url.Values{"answer": {"approve"}})
	s.stillWaits(item)
}

func TestForeignRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	item := s.file("Ada")
	for name, forge := range map[string]func(r *http.Request){
		"another site":       func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sister site":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"another origin":     func(r *http.Request) { r.Header.Set("Origin", "https://elsewhere.example") },
		"no origin":          func(r *http.Request) { r.Header.Set("Origin", "null") },
		"a name that we own": func(r *http.Request) { r.Host = "rebound.example" },
	} {
		for _, path := range []string{link(item.ID), "/new"} {
			r := s.request(http.MethodPost, path, url.Values{"answer": {"approve"}, "by": {"Eve"}, "employee": {"Eve"}, "purpose": {"loot"}, "amount": {"1.00"}})
			forge(r)
			if answer, _ := s.do(r); answer.StatusCode != http.StatusForbidden {
				t.Errorf("%s: status %d, want %d", name, answer.StatusCode, http.StatusForbidden)
			}
		}
	}
	r := s.request(http.MethodGet, "/", nil)
	r.Host = "rebound.example"
	if answer, body := s.do(r); answer.StatusCode != http.StatusForbidden || strings.Contains(body, item.ID) {
		t.Errorf("the list by another name: status %d, want %d and no link", answer.StatusCode, http.StatusForbidden)
	}
	s.stillWaits(item)

	// Which a browser's own form is not.
	r = s.request(http.MethodPost, link(item.ID), url.Values{"answer": {"approve"}, "by": {"Kay"}})
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "null") // what no-referrer makes of it
	if answer, body := s.do(r); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("the page's own form: status %d, want %d:\n%s", answer.StatusCode, http.StatusSeeOther, body)
	}
}

func TestWrongLink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	item := s.file("Ada")
	last := item.ID[len(item.ID)-1:]
	other := "A"
	if last == other {
		other = "Q"
	}
	for name, id := range map[string]string{
		"cut off":      item.ID[:len(item.ID)-1],
		"wrong secret": item.ID[:len(item.ID)-22] + strings.Repeat("A", 22),
		"last letter":  item.ID[:len(item.ID)-1] + other,
		"unknown":      strings.Repeat("0", len(item.ID)),
		"nonsense":     "../%00",
	} {
		_, body := s.get(link(id))
		answer, _ := s.get(link(id))
		if answer.StatusCode != http.StatusNotFound || strings.Contains(body, id) {
			t.Errorf("GET with a link that is %s: status %d, want %d without the link:\n%s", name, answer.StatusCode, http.StatusNotFound, body)
		}
		if body := s.post(http.StatusNotFound, link(id), url.Values{"answer": {"approve"}, "by": {"Kay"}}); strings.Contains(body, id) {
			t.Errorf("POST with a link that is %s: the answer repeats it:\n%s", name, body)
		}
	}
	s.stillWaits(item)
	if answer, _ := s.get("/elsewhere"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a page that isn't there: status %d, want %d", answer.StatusCode, http.StatusNotFound)
	}
}

func TestSecondAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	item := s.file("Ada")
	first := url.Values{"answer": {"reject"}, "by": {"Kay"}, "reason": {"no"}}
	s.post(http.StatusSeeOther, link(item.ID), first)
	s.post(http.StatusSeeOther, link(item.ID), first)
	for name, second := range map[string]url.Values{
		"another decision": {"answer": {"approve"}, "by": {"Kay"}, "reason": {"no"}},
		"another person":   {"answer": {"reject"}, "by": {"Tony"}, "reason": {"no"}},
	} {
		if body := s.post(http.StatusConflict, link(item.ID), second); !strings.Contains(body, "already has a different decision") || strings.Contains(body, item.ID) {
			t.Errorf("%s: want to be told that it was decided before, without the link:\n%s", name, body)
		}
	}
	s.wantResult(item, "Ada, a <b>chair</b> (€1,250.00): rejected by Kay: no")
	s.post(http.StatusSeeOther, link(item.ID), first)
}

func TestTooLate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	item := s.file("Ada")
	if err := s.desk.client.TerminateWorkflow(s.context(), item.Info.WorkflowID, item.Info.RunID, "withdrawn"); err != nil {
		t.Fatal(err)
	}
	body := s.post(http.StatusGone, link(item.ID), url.Values{"answer": {"approve"}, "by": {"Kay"}})
	if !strings.Contains(body, "no longer waits") {
		t.Errorf("want to be told that it no longer waits:\n%s", body)
	}
	s.eventually("the page shows the end", func() bool {
		_, body := s.get(link(item.ID))
		return strings.Contains(body, "ended without a decision") && !strings.Contains(body, "<form ")
	})
}

func TestWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	item := s.file("Ada")
	for name, form := range map[string]url.Values{
		"nothing":         {},
		"another verb":    {"answer": {"Approve"}, "by": {"Kay"}},
		"nobody":          {"answer": {"approve"}, "by": {" \t"}},
		"a long name":     {"answer": {"approve"}, "by": {strings.Repeat("ä", 81)}},
		"a long reason":   {"answer": {"reject"}, "by": {"Kay"}, "reason": {strings.Repeat("x", 501)}},
		"an endless form": {"answer": {"approve"}, "by": {"Kay"}, "more": {strings.Repeat("x", 20<<10)}},
	} {
		t.Log(name)
		s.post(http.StatusUnprocessableEntity, link(item.ID), form)
	}
	s.stillWaits(item)
	s.post(http.StatusSeeOther, link(item.ID), url.Values{"answer": {"approve"}, "by": {strings.Repeat("ä", 80)}})
}

func TestWhatIsNoExpense(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, form := range map[string]url.Values{
		"nothing":          {},
		"nobody":           {"employee": {" "}, "purpose": {"a chair"}, "amount": {"1.00"}},
		"for nothing":      {"employee": {"Ada"}, "purpose": {""}, "amount": {"1.00"}},
		"a long story":     {"employee": {"Ada"}, "purpose": {strings.Repeat("x", 81)}, "amount": {"1.00"}},
		"no text":          {"employee": {"\xff"}, "purpose": {"a chair"}, "amount": {"1.00"}},
		"no money":         {"employee": {"Ada"}, "purpose": {"a chair"}, "amount": {"0.00"}},
		"money back":       {"employee": {"Ada"}, "purpose": {"a chair"}, "amount": {"-1.00"}},
		"too much money":   {"employee": {"Ada"}, "purpose": {"a chair"}, "amount": {"1000000"}},
		"too exact money":  {"employee": {"Ada"}, "purpose": {"a chair"}, "amount": {"1.001"}},
		"mistakable money": {"employee": {"Ada"}, "purpose": {"a chair"}, "amount": {"1.000"}},
	} {
		t.Log(name)
		s.post(http.StatusUnprocessableEntity, "/new", form)
	}
	if items, err := s.desk.List(s.context()); err != nil || len(items) > 0 {
		t.Errorf("%d expenses and error %v, want none", len(items), err)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	item := s.file("<script>")
	for path, status := range map[string]int{
		"/": 200, "/new": 200, "/style.css": 200, link(item.ID): 200, "/expense/x": 404, "/x": 404,
	} {
		answer, body := s.get(path)
		if answer.StatusCode != status {
			t.Errorf("%s: status %d, want %d", path, answer.StatusCode, status)
		}
		for name, want := range map[string]string{
			"Cache-Control":           "no-store",
			"Referrer-Policy":         "no-referrer",
			"X-Content-Type-Options":  "nosniff",
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if strings.Contains(body, "<script") || strings.Contains(body, "<b>") {
			t.Errorf("%s: what was filed is not escaped:\n%s", path, body)
		}
		if strings.Contains(body, `http-equiv="refresh"`) != (path == "/") {
			t.Errorf("%s: only the list refreshes itself", path)
		}
	}
	if _, body := s.get("/"); strings.Count(body, item.ID) != 2 || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("the list has the callback ID %d times, want it as link and in the form only, and the name escaped:\n%s", strings.Count(body, item.ID), body)
	}
}
