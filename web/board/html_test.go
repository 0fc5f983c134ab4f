package board_test

import (
	"context"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// evil is text that would add an element, an attribute and a character
// reference to a page that does not escape it.
const evil = `"><script>alert(1)</script><b title='x'>&quot;`

// escaped is how a page shows text. The places where a line may break are left
// out.
func escaped(text string) string { return html.EscapeString(text) }

// wantText checks that a page shows evil as text only.
func (a response) wantText(t *testing.T, what string, status int, shows bool) {
	t.Helper()
	body := strings.ReplaceAll(a.body, "<wbr>", "")
	if a.status != status || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("%s: status %d, %s\n%s", what, a.status, a.header.Get("Content-Type"), a.body)
	}
	low := strings.ToLower(body)
	for _, bad := range []string{"<script", "<b ", "<b>", "title='"} {
		if strings.Contains(low, bad) {
			t.Errorf("%s: the page has %s:\n%s", what, bad, body)
		}
	}
	if shows != strings.Contains(body, escaped(evil)) {
		t.Errorf("%s: the page shows the text: %t, want %t\n%s", what, !shows, shows, body)
	}
}

// HTML in names of applications and of users is text on every page.
func TestHTMLIsText(t *testing.T) {
	r := newRig(t)
	r.by = evil
	h := r.typedHub(evil)
	adopt := func(key, workflow string) async.Pending[Decision] {
		t.Helper()
		p, err := async.Adopt[Decision](t.Context(), h, async.AdoptOptions{
			Namespace: evil, WorkflowID: workflow, RunID: evil, ActivityID: evil, Key: key, Pump: evil, Labels: map[string]string{evil: evil},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.plant(p.ID())
		return p
	}
	waiting, refused, over := adopt(evil, evil), adopt("", evil), adopt("", "other "+evil)
	if err := waiting.Remember(t.Context(), evil); err != nil {
		t.Fatal(err)
	}
	if err := waiting.Note(t.Context(), async.Note{Kind: evil, By: evil, Data: []byte(`"` + secret + `"`)}); err != nil {
		t.Fatal(err)
	}
	r.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrRefused }
	r.completed(refused)
	if err := over.Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.refuse = nil
	id := waiting.Info().ID
	for _, path := range []string{"/", "/waiting", "/settled", "/ended", "/all", "/counts", "/waiting?watch=1", "/entries/" + id, "/entries/" + refused.Info().ID, "/entries/" + over.Info().ID} {
		r.page(path).wantText(t, path, 200, true)
	}
	r.by = "ada" // only the entries have the text from here on
	for _, path := range []string{"/", "/waiting", "/settled", "/ended", "/all", "/counts", "/entries/" + id} {
		r.page(path).wantText(t, path, 200, true)
	}
	for _, parameter := range []string{"type", "workflow", "key", "namespace", "result", "class"} {
		path := "/all?" + url.Values{parameter: {evil}}.Encode()
		r.page(path).wantText(t, path, 200, true) // in the form
	}
	path := "/all?" + url.Values{"label": {evil + "=" + evil}}.Encode()
	r.page(path).wantText(t, path, 200, true)
	// Pages about a problem do not repeat what they refuse.
	for _, path := range []string{"/all?" + url.Values{"age": {evil}}.Encode(), "/all?" + url.Values{evil: {evil}}.Encode(), "/all?label=" + url.QueryEscape("="+evil)} {
		r.page(path).wantText(t, path, 400, false)
	}
	for _, path := range []string{"/" + url.PathEscape(evil), "/entries/" + url.PathEscape(evil), "/entries/" + id + "/" + url.PathEscape(evil)} {
		r.page(path).wantText(t, path, 404, false)
	}
	// A refused form shows the entry and what was typed.
	r.post("/entries/"+id+"/complete", "why", evil, "result", evil).wantText(t, "a refused form", 422, true)
	r.post("/bulk", "action", evil, "why", evil, "row", evil).wantText(t, "a refused bulk form", 422, false)
	r.post("/bulk", "action", "retry", "why", evil, "row", evil, "row", refused.Info().ID+"."+evil).wantText(t, "results", 200, false)
	r.post("/entries/"+id+"/abandon", "why", evil).wantText(t, "a result", 200, false)
	r.page("/entries/"+id).wantText(t, "the journal", 200, true)

	e := r.get("/entries/" + id)
	if e.Labels[evil] != evil || len(e.Links) != 1 {
		t.Fatalf("the labels are %q and the links %+v", e.Labels, e.Links)
	}
	u, err := url.Parse(e.Links[0].URL)
	if want := "/ui/namespaces/" + evil + "/workflows/" + evil + "/run-1/history"; err != nil || u.Scheme != "https" || u.Host != "temporal.example.com" || u.RawQuery != "" || u.Path != want {
		t.Errorf("the link is %s (%v), want the path %s", e.Links[0].URL, err, want)
	}
	if strings.ContainsAny(e.Links[0].URL, `"<>' `) {
		t.Errorf("the link is not escaped: %s", e.Links[0].URL)
	}
	if body := r.page("/entries/" + id).body; !strings.Contains(body, `<a href="`+html.EscapeString(e.Links[0].URL)+`"`) {
		t.Errorf("the page lacks the link %s:\n%s", e.Links[0].URL, body)
	}
}
