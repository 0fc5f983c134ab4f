package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestFileAndDecide plays two people: one files an expense, and the other finds
// it and decides. The first person gets a mail.
func TestFileAndDecide(t *testing.T) {
	t.Parallel()
	s := newSite(t, server.Server(t))
	form := url.Values{"purpose": {"a <b>chair</b>"}, "amount": {"125.00"}, "employee": {"grace@example.com"}}
	if resp, body := s.do("ada", http.MethodPost, "/", form); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/?filed" {
		t.Fatalf("filing: status %d:\n%s", resp.StatusCode, body)
	}
	if _, body := s.get("ada", "/?filed"); !strings.Contains(body, "The expense is filed") {
		t.Errorf("the page doesn't say that the expense is filed:\n%s", body)
	}
	item := s.waits("grace", "Expense of €125.00")
	if items, err := s.as("ada").waiting(s.context()); err != nil || len(items) > 0 {
		t.Errorf("for the employee wait %v, %v, want nothing", items, err)
	}
	status, body := s.get("grace", "/inbox/i/"+item)
	if status != http.StatusOK || !strings.Contains(body, "a &lt;b&gt;chair&lt;/b&gt;") || !strings.Contains(body, "<dd><bdi>Ada</bdi>") || !strings.Contains(body, "Sign out") {
		t.Errorf("the request: status %d, want the purpose escaped, who filed it, and the header of the site:\n%s", status, body)
	}
	if resp, body := s.do("grace", http.MethodPost, "/inbox/i/"+item, url.Values{"approved": {"true"}, "_do": {"vote"}}); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("approving: status %d:\n%s", resp.StatusCode, body)
	}
	eventually(t, "the employee gets a mail", func() bool { return len(s.office.mails.Sent("ada@example.com")) == 1 })
	if got, want := s.office.mails.Sent("ada@example.com")[0].Subject, "Decided: Ada, a <b>chair</b> (€125.00): approved by Grace"; got != want {
		t.Errorf("the mail says %q, want %q", got, want)
	}
}

// TestMails: a person gets a link that needs no sign-in. A group gets the
// address of a page that asks for a sign-in.
func TestMails(t *testing.T) {
	t.Parallel()
	s := newSite(t, server.Server(t))
	for _, n := range []int{0, 3} {
		if _, err := s.office.File(s.context(), samples[n]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both mails are sent", func() bool {
		return len(s.office.mails.Sent("grace@example.com")) == 1 && len(s.office.mails.Sent(finance)) == 1
	})
	personal, group := s.office.mails.Sent("grace@example.com")[0].Link, s.office.mails.Sent(finance)[0].Link
	if status, body := s.get("", strings.TrimPrefix(personal, s.base)); status != http.StatusOK || !strings.Contains(body, "Link for") || !strings.Contains(body, `name="_name"`) {
		t.Errorf("the person's link: status %d:\n%s", status, body)
	}
	resp, _ := s.do("", http.MethodGet, strings.TrimPrefix(group, s.base), nil)
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in?to=%2Finbox%2Fi%2F") {
		t.Errorf("the group's link: status %d to %q, want the sign-in", resp.StatusCode, to)
	}
	if _, body := s.get("", to); !strings.Contains(body, strings.TrimPrefix(group, s.base)) || strings.Count(body, `name="person"`) != len(company) {
		t.Errorf("the sign-in doesn't lead back, or lacks a person:\n%s", body)
	}
}

// TestPagesAreGuarded: a request from another site, with another host name, or
// without sign-in files no expense.
func TestPagesAreGuarded(t *testing.T) {
	t.Parallel()
	s := newSite(t, server.Server(t))
	form := url.Values{"purpose": {"loot"}, "amount": {"1.00"}}
	for name, c := range map[string]struct {
		who     string
		headers []string
		want    int
	}{
		"another site":        {"ada", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another origin":      {"ada", []string{"Origin", "https://elsewhere.example"}, http.StatusForbidden},
		"another name for us": {"ada", []string{"Host", "rebound.example"}, http.StatusForbidden},
		"not signed in":       {"", nil, http.StatusSeeOther},
		"a cookie made up":    {"", []string{"Cookie", sessionCookie + "=" + encode([]byte("ada@example.com")) + ".AAAA"}, http.StatusSeeOther},
	} {
		if resp, _ := s.do(c.who, http.MethodPost, "/", form, c.headers...); resp.StatusCode != c.want || resp.Header.Get("Location") == "/?filed" {
			t.Errorf("%s: status %d to %q, want %d and nothing filed", name, resp.StatusCode, resp.Header.Get("Location"), c.want)
		}
	}
	for name, form := range map[string]url.Values{
		"nothing":         {},
		"for nothing":     {"purpose": {" "}, "amount": {"1.00"}},
		"a long story":    {"purpose": {strings.Repeat("x", 81)}, "amount": {"1.00"}},
		"no text":         {"purpose": {"\xff"}, "amount": {"1.00"}},
		"no money":        {"purpose": {"a chair"}, "amount": {"0.00"}},
		"too exact money": {"purpose": {"a chair"}, "amount": {"1.001"}},
	} {
		if resp, _ := s.do("ada", http.MethodPost, "/", form); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d, want 422", name, resp.StatusCode)
		}
	}
	for _, path := range []string{"/", "/sign-in", "/inbox/", "/elsewhere"} {
		resp, body := s.do("ada", http.MethodGet, path, nil)
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(body, "<script") {
			t.Errorf("%s: the policy is %q", path, csp)
		}
	}
}

// TestLocal: the sign-in leads to no other site.
func TestLocal(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"/inbox/i/x.y?done=vote": "/inbox/i/x.y?done=vote", "": "/inbox/", "https://elsewhere.example/": "/inbox/", "//elsewhere.example": "/inbox/",
		`/\elsewhere.example`: "/inbox/", "inbox": "/inbox/", "javascript:alert(1)": "/inbox/", "\x7f": "/inbox/",
	} {
		if got := local(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

// TestRules: each amount has the right deciders.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cents int64
		want  string
		needs int
	}{{1, "grace@example.com", 0}, {1_000_00, "grace@example.com", 0}, {1_000_01, finance, 2}} {
		r := requestFor(Expense{Employee: "ada@example.com", Name: "Ada", Purpose: "x", Cents: c.cents})
		if r.For[0] != c.want || len(r.For) != 1 || r.Needs != c.needs || len(r.NotBy) != 1 || r.NotBy[0] != "ada@example.com" {
			t.Errorf("%d cents: %+v, want %s and %d people, and never Ada", c.cents, r, c.want, c.needs)
		}
	}
	for _, m := range company {
		if boss := managerOf(m.ID); boss == m.ID || boss == managers {
			t.Errorf("the manager of %s is %s", m.ID, boss)
		}
	}
	if got := managerOf("gone@example.com"); got != managers {
		t.Errorf("the manager of a person who has left is %q, want the group of managers", got)
	}
}
