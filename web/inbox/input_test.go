package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
)

// TestForms: each kind of field and its errors, with forms.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		name string
		form url.Values
		want string // part of the answer, or "" if it is refused
		at   string // the place of the error
	}{
		{"all", url.Values{"approved": {"true"}, "limit": {"1250"}, "level": {"high"}, "from": {"2026-11-30T09:30:00+01:00"}, "tags": {"a\r\nb\r\n\r\n"}},
			`{"approved":true,"limit":1250,"level":"high","from":"2026-11-30T09:30:00+01:00","tags":["a","b"]}`, ""},
		{"the required one", url.Values{"approved": {"false"}}, `{"approved":false}`, ""},
		{"empty ones left out", url.Values{"approved": {"true"}, "limit": {""}, "level": {""}, "from": {" "}, "tags": {"\n"}}, `{"approved":true}`, ""},
		{"2⁵³+1", url.Values{"approved": {"true"}, "limit": {"9007199254740993"}}, `{"approved":true,"limit":9007199254740993}`, ""},
		{"missing", url.Values{"limit": {"1"}}, "", "/approved"},
		{"left empty", url.Values{"approved": {""}}, "", "/approved"},
		{"a checkbox's on", url.Values{"approved": {"on"}}, "", "/approved"},
		{"another case", url.Values{"approved": {"True"}}, "", "/approved"},
		{"doubled", url.Values{"approved": {"false", "true"}}, "", "/approved"},
		{"unknown", url.Values{"approved": {"true"}, "aproved": {"true"}}, "", "/aproved"},
		{"unknown of the inbox", url.Values{"approved": {"true"}, "_version": {"7"}}, "", "/_version"},
		{"doubled of the inbox", url.Values{"approved": {"true"}, "_do": {"vote", "claim"}}, "", "/_do"},
		{"a field with no value at all", url.Values{"approved": nil}, "", "/approved"},
		{"over int64", url.Values{"approved": {"true"}, "limit": {"9223372036854775808"}}, "", "/limit"},
		{"a fraction", url.Values{"approved": {"true"}, "limit": {"12.5"}}, "", "/limit"},
		{"an exponent", url.Values{"approved": {"true"}, "limit": {"1e3"}}, "", "/limit"},
		{"leading zeros", url.Values{"approved": {"true"}, "limit": {"007"}}, "", "/limit"},
		{"thousands", url.Values{"approved": {"true"}, "limit": {"1,250"}}, "", "/limit"},
		{"words", url.Values{"approved": {"true"}, "limit": {"many"}}, "", "/limit"},
		{"JSON in a number", url.Values{"approved": {"true"}, "limit": {`1,"decided":[]`}}, "", "/limit"},
		{"a date without zone", url.Values{"approved": {"true"}, "from": {"2026-11-30T09:30:00"}}, "", "/from"},
		{"a date alone", url.Values{"approved": {"true"}, "from": {"2026-11-30"}}, "", "/from"},
		{"text that is not UTF-8", url.Values{"approved": {"true"}, "level": {"caf\xe9"}}, "", "/level"},
		{"a comment that is not UTF-8", url.Values{"approved": {"true"}, "_comment": {"caf\xe9"}}, "", "/_comment"},
		{"a comment too long", url.Values{"approved": {"true"}, "_comment": {strings.Repeat("x", 2001)}}, "", "/_comment"},
		{"a comment that overrides directions", url.Values{"approved": {"true"}, "_comment": {"ok \u202etxet"}}, "", "/_comment"},
		{"who decided, made up", url.Values{"approved": {"true"}, "decided": {`[{"by":{"id":"eve"}}]`}}, "", "/decided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
			err := r.box.Decide(t.Context(), p.path, people["ada"], c.form)
			page := r.send("POST", "/"+p.path, "bob", c.form.Encode(), "Content-Type", asForm)
			if c.want != "" {
				if err != nil {
					t.Fatalf("Decide: %v %v", err, answer.Invalids(err))
				}
				d := r.result()
				d.Decided = nil
				if got, _ := json.Marshal(d); string(got) != c.want {
					t.Errorf("the answer is %s, want %s", got, c.want)
				}
				return
			}
			places := answer.Invalids(err)
			if len(places) != 1 || places[0].Pointer != c.at {
				t.Errorf("Decide: %v at %v, want one problem at %s", err, places, c.at)
			}
			if page.Code != 422 || !strings.Contains(page.Body.String(), strings.TrimPrefix(c.at, "/")) {
				t.Errorf("the page answers %d, want 422 and the place", page.Code)
			}
			if strings.Contains(fmt.Sprint(err), "eve") || strings.Contains(fmt.Sprint(err), "xxx") {
				t.Errorf("the error repeats the form: %v", err)
			}
			r.wantState(p, async.Waiting)
			if n := len(r.callback(p).Notes()); n != 1 {
				t.Errorf("%d notes, want the request alone", n)
			}
		})
	}
}

// TestJSONInput: errors in the body of a program.
func TestJSONInput(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
	for body, want := range map[string]int{
		``: 422, `{}`: 422, `null`: 422, `[]`: 422, `{"answer":null}`: 422, `{"answer":{}}`: 422, `{"answer":{"approved":null}}`: 422,
		`{"answer":{"Approved":true}}`: 422, `{"answer":{"approved":true,"approved":false}}`: 422, `{"answer":{"approved":true}} x`: 422,
		`{"answer":{"approved":true},"answer":{"approved":false}}`: 422, `{"answer":{"approved":true},"who":"eve"}`: 422, `{"do":"comment"}`: 422,
		`{"answer":{"approved":true,"decided":[]}}`: 422, `{"answer":{"approved":true},"comment":7}`: 422,
		`{"answer":{"approved":true},"comment":"` + strings.Repeat("x", 300<<10) + `"}`: 413, `{"do":"approve"}`: 409,
	} {
		if w := r.send("POST", "/"+p.path, "ada", body, "Content-Type", "application/json"); w.Code != want {
			t.Errorf("%.80s: %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
	if w := r.send("POST", "/"+p.path, "ada", `approved=true`, "Content-Type", "text/plain"); w.Code != 415 {
		t.Errorf("text/plain: %d, want 415", w.Code)
	}
	if w := r.send("POST", "/"+p.path, "ada", "", "Content-Type", "multipart/form-data; boundary=x"); w.Code != 415 {
		t.Errorf("multipart: %d, want 415", w.Code)
	}
	if w := r.send("POST", "/"+p.path, "ada", "a=%zz", "Content-Type", asForm); w.Code != 422 {
		t.Errorf("a broken form: %d, want 422", w.Code)
	}
	if w := r.send("POST", "/"+p.path+"?approved=true", "ada", "", "Content-Type", asForm); w.Code != 422 {
		t.Errorf("an answer in the query: %d, want 422", w.Code)
	}
	if w := r.send("POST", "/"+p.path, "ada", "_comment="+strings.Repeat("x", 300<<10), "Content-Type", asForm); w.Code != 413 {
		t.Errorf("a large form: %d, want 413", w.Code)
	}
	r.wantState(p, async.Waiting)
}

// TestVotes: a vote is repeated, changed, and given after the decision.
func TestVotes(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t)
			p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}, Needs: 2})
			for range 3 { // a double click, and the back button
				if got := way.act(r, p, "ada", yes()); got != "ok" {
					t.Fatalf("a repeat is %s", got)
				}
			}
			if n := len(r.callback(p).Notes()); n != 2 {
				t.Errorf("after three equal votes there are %d notes, want the request and one vote", n)
			}
			r.wantState(p, async.Waiting)
			if got := way.act(r, p, "ada", no()); got != "ok" {
				t.Fatalf("a changed vote is %s", got)
			}
			r.decide(p, "bob", yes())
			r.wantState(p, async.Waiting) // they differ
			r.decide(p, "eve", no())
			r.wantState(p, async.Closed)
			if d := r.result(); d.Approved || len(d.Decided) != 3 {
				t.Errorf("the result is %+v, want it rejected, with three votes", d)
			}
			if got := way.act(r, p, "ada", no()); got != "ok" {
				t.Errorf("a repeat of what decided is %s, want ok", got)
			}
			if got := way.act(r, p, "bob", no()); way.name != "adapter" && way.name != "JSON" && got != "ok" {
				t.Errorf("the same as was accepted, after the decision: %s, want a page that says so", got)
			}
			if got := way.act(r, p, "bob", yes()); way.name != "adapter" && got != "conflict" && got != "ok" {
				t.Errorf("a repeat of what was outvoted is %s", got)
			}
			if n := len(r.callback(p).Notes()); n != 5 {
				t.Errorf("%d notes, want the request and four votes", n)
			}
			r.temporal.Completed()
		})
	}
}

// TestVoteAfterCancellation: Temporal accepts an answer after a request for
// cancellation. The inbox therefore accepts an answer after a request for
// cancellation too, and the page says that the answer is no longer wanted.
func TestVoteAfterCancellation(t *testing.T) {
	for _, way := range ways {
		r := newRig(t)
		p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
		r.temporal.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
			return completer.Status{Pending: true, Running: true, CancelRequested: true}, nil
		}
		if w := r.send("GET", "/"+p.path, "ada", ""); !strings.Contains(w.Body.String(), "no longer wanted") {
			t.Error("the page doesn't say that the answer is no longer wanted")
		}
		if w := r.send("GET", "/", "ada", ""); !strings.Contains(w.Body.String(), "No longer wanted") {
			t.Error("the list doesn't say that the answer is no longer wanted")
		}
		if got := way.act(r, p, "ada", yes()); got != "ok" {
			t.Errorf("by %s: %s, want ok", way.name, got)
		}
	}
}

// TestVotesAreLimited: a person cannot fill the journal and thus prevent others
// from deciding.
func TestVotesAreLimited(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}, Needs: 2})
	refused := 0
	for n := range 20 {
		err := r.box.Decide(t.Context(), p.path, people["ada"], url.Values{"approved": {"true"}, "limit": {fmt.Sprint(n)}})
		if refusal, ok := errors.AsType[*inbox.Refusal](err); ok && refusal.Code == "limit" {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused != 12 {
		t.Errorf("%d of 20 changes are refused, want 12", refused)
	}
	refused = 0
	for n := range 120 {
		if err := r.box.Decide(t.Context(), p.path, people["bob"], url.Values{"_do": {"comment"}, "_comment": {fmt.Sprint(n, strings.Repeat("x", 300))}}); err != nil {
			refused++
		}
	}
	if refused == 0 || refused == 120 {
		t.Errorf("%d of 120 comments are refused, want some", refused)
	}
	r.decide(p, "bob", yes())
	r.decide(p, "eve", yes())
	r.wantState(p, async.Closed)
}

// TestEarlierRounds: a page or a link of an earlier round decides nothing.
func TestEarlierRounds(t *testing.T) {
	for _, way := range ways {
		r := newRig(t)
		request := inbox.Request{Title: "Dinner", For: []string{"finance"}}
		old, err := postOn[Decision](r.hub, r.box, async.StartOptions{Key: "order-7"}, request, func(string) {})
		if err != activity.ErrResultPending {
			t.Fatal(err)
		}
		link := r.link(old, "ada")
		r.decide(old, "bob", no())
		// The next activity with the key begins a round in the same entry.
		now, err := postOn[Decision](r.hub, r.box, async.StartOptions{Key: "order-7"}, request, func(string) {})
		if err != activity.ErrResultPending || r.callback(now).Info().ID != strings.TrimPrefix(strings.Split(old.path, ".")[0], "i/") {
			t.Fatalf("the next activity of the key: %v, want it in the same entry", err)
		}
		got := ""
		if way.name == "link" {
			w := r.send("POST", link, "", "approved=true&_name=Ada", "Content-Type", asForm)
			got = codeOf(w.Code, "")
		} else {
			got = way.act(r, old, "ada", yes())
		}
		if got != "conflict" {
			t.Errorf("by %s: %s, want conflict", way.name, got)
		}
		r.wantState(now, async.Waiting)
	}
}

// TestRequestsRefused: an invalid request fails the activity permanently, and
// the error names the problem.
func TestRequestsRefused(t *testing.T) {
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprint("p", i)
	}
	for name, c := range map[string]struct {
		request inbox.Request
		want    string
	}{
		"no title":                 {inbox.Request{For: []string{"ada"}}, "Title is required"},
		"a title of two lines":     {inbox.Request{Title: "a\nb"}, "one line"},
		"HTML in the title":        {inbox.Request{Title: "<b>Dinner</b>"}, "HTML"},
		"HTML in the text":         {inbox.Request{Title: "Dinner", Text: "see <!-- this"}, "HTML"},
		"HTML in a fact's name":    {inbox.Request{Title: "Dinner", Facts: []inbox.Fact{{Name: "<i>", Value: "x"}}}, "HTML"},
		"direction override":       {inbox.Request{Title: "Dinner \u202e001"}, "direction"},
		"a control character":      {inbox.Request{Title: "Dinner", Text: "\x1b[2J"}, "control"},
		"a fact without a name":    {inbox.Request{Title: "Dinner", Facts: []inbox.Fact{{Value: "x"}}}, "Name is required"},
		"a value that isn't UTF-8": {inbox.Request{Title: "Dinner", Facts: []inbox.Fact{{Name: "a", Value: "caf\xe9"}}}, "UTF-8"},
		"too many facts":           {inbox.Request{Title: "Dinner", Facts: make([]inbox.Fact, 33)}, "at most 32"},
		"too many people":          {inbox.Request{Title: "Dinner", For: many}, "at most 64"},
		"an empty person":          {inbox.Request{Title: "Dinner", For: []string{""}}, "For[0]"},
		"asked and barred":         {inbox.Request{Title: "Dinner", For: []string{"ada"}, NotBy: []string{"ada"}}, "so has For"},
		"needs too many":           {inbox.Request{Title: "Dinner", Needs: 33}, "Needs"},
		"larger than a note":       {inbox.Request{Title: "Dinner", Facts: large()}, "16384"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.tryPost(c.request)
			if err == nil || err == activity.ErrResultPending || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the activity returned %v, want an error that says %q", err, c.want)
			}
		})
	}
	r := newRig(t, func(o *inbox.Options) { o.Links = nil })
	if _, err := r.tryPost(inbox.Request{Title: "Dinner"}); err == nil || !strings.Contains(err.Error(), "For is required") {
		t.Errorf("without For and links: %v", err)
	}
}

func large() (facts []inbox.Fact) {
	for i := range 20 {
		facts = append(facts, inbox.Fact{Name: fmt.Sprint(i), Value: strings.Repeat("x", 1000)})
	}
	return facts
}

// TestHostileText: text of users is shown as it was typed, and cannot look like
// other text.
func TestHostileText(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{
		Title: "Dinner & <3", For: []string{"finance"}, Due: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC),
		Facts: []inbox.Fact{{Name: "Purpose", Value: `<script>alert(1)</script>" onload="x`}, {Name: "Payee", Value: "\u202e5102 KNAB\x1b[2J"}},
	})
	w := r.send("GET", "/"+p.path, "ada", "")
	body := w.Body.String()
	for _, bad := range []string{"<script>", `" onload="`, "\u202e", "\x1b", "Dinner & <3"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, good := range []string{"&lt;script&gt;", "[U&#43;202E]5102 KNAB[U&#43;001B][2J", "Dinner &amp; &lt;3", "1 December 2026, 09:00 UTC"} {
		if !strings.Contains(body, good) {
			t.Errorf("the page lacks %q", good)
		}
	}
}

// TestForwardedLink: the journal names the addressee of a link, and the name
// that the person typed.
func TestForwardedLink(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}, Needs: 2})
	link := r.link(p, "ada")
	for _, c := range []struct {
		form, place string
	}{{"approved=true", "name"}, {"approved=true&_name=+", "name"}, {"_name=Ada", "approved"}, {"approved=true&_name=" + url.QueryEscape("A\u202eda"), "name"}, {"approved=true&_name=A&_name=B", "name"}, {"approved=true&_name=" + strings.Repeat("x", 81), "name"}} {
		if w := r.send("POST", link, "", c.form, "Content-Type", asForm); w.Code != 422 || !strings.Contains(w.Body.String(), c.place) {
			t.Errorf("%s: %d, want 422", c.form, w.Code)
		}
	}
	for _, name := range []string{"Ada", "Mallory"} {
		if w := r.send("POST", link, "", "approved=true&_name="+name, "Content-Type", asForm); w.Code != 303 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if r.opened.Load() < 8 {
		t.Errorf("Keys.Used was called %d times, want once for each link", r.opened.Load())
	}
	r.wantState(p, async.Waiting) // both votes count for one addressee
	r.decide(p, "bob", yes())
	d := r.result()
	if got := d.Decided[0].By.String(); got != "link for ada, says Mallory" || d.Decided[1].By.ID != "bob" {
		t.Errorf("it was decided by %v, want the link's addressee and the name", d.Decided)
	}
	var by []string
	for _, n := range r.callback(p).Notes() {
		by = append(by, n.By)
	}
	if want := "inbox.request, link for ada, says Ada, link for ada, says Mallory, bob"; strings.Join(by, ", ") != want {
		t.Errorf("the journal is by %q, want %q", by, want)
	}
	delete(r.people, "ada")
	if w := r.send("GET", link, "", ""); w.Code != 403 {
		t.Errorf("a link for a person who is gone: %d, want 403", w.Code)
	}
}
