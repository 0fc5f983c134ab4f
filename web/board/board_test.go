package board_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/board"
)

func TestNewRefuses(t *testing.T) {
	r := newRig(t)
	allow := func(context.Context, *http.Request, board.Action, async.Callback) (string, error) { return "ada", nil }
	decision := mustFor[Decision](t)
	for name, tt := range map[string]struct {
		hub  *async.Hub
		o    board.Options
		want string
	}{
		"no hub":         {nil, board.Options{Authorize: allow}, "the hub is required"},
		"no Authorize":   {r.hub, board.Options{}, "Options.Authorize is required"},
		"a zero type":    {r.hub, board.Options{Authorize: allow, Types: []answer.Type{{}}}, "Options.Types[0]"},
		"a type twice":   {r.hub, board.Options{Authorize: allow, Types: []answer.Type{decision, decision}}, "twice"},
		"a bad Temporal": {r.hub, board.Options{Authorize: allow, Temporal: "javascript:alert(1)"}, "Options.Temporal"},
		"a user in it":   {r.hub, board.Options{Authorize: allow, Temporal: "https://a:b@example.com"}, "Options.Temporal"},
	} {
		if _, err := board.New(tt.hub, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
	if _, err := board.New(r.hub, board.Options{Authorize: allow}); err != nil {
		t.Error(err)
	}
}

// Each list shows the right entries, with their trouble and what to do.
func TestLists(t *testing.T) {
	r := newRig(t)
	_, waiting := r.entry(map[string]string{"team": "red"})
	_, refused := r.settled()
	r.temporal.CompleteFunc = nil
	done, ended := r.entry(nil)
	if err := done.Reject(t.Context(), errors.New(secret)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/": refused, "/waiting": waiting, "/settled": refused, "/ended": ended} {
		a := r.get(path)
		if a.status != 200 || len(a.Entries) != 1 || a.Entries[0].ID != want {
			t.Errorf("%s has %+v, want %s", path, a.Entries, want)
		}
		r.page(path).wantPage(t, path, 200, want, "<h1>")
	}
	if a := r.get("/all"); len(a.Entries) != 3 {
		t.Errorf("/all has %d entries, want 3", len(a.Entries))
	}
	if e := r.get("/").Entries[0]; e.Class != "refused" || !strings.Contains(e.Attention, "Temporal refuses") {
		t.Errorf("the refused entry is %+v", e)
	}
	r.page("/").wantPage(t, "attention", 200, "Temporal refuses the outcome")
	r.get("/counts").want(t, "counts", 200, "")
	r.page("/counts").wantPage(t, "counts", 200, "refused", "waiting", "ended")
	if e := r.get("/entries/" + ended); e.End != "delivered" || !strings.Contains(e.Evidence, "Temporal has the outcome") {
		t.Errorf("the ended entry's end is %q: %s", e.End, e.Evidence)
	}
}

// A first failure that hubs retry anyway needs no attention.
func TestPatience(t *testing.T) {
	r := newRig(t)
	r.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return errors.New("unavailable") }
	c, id := r.entry(nil)
	if err := (async.Pending[Decision]{Callback: c}).Complete(t.Context(), Decision{}); err != nil {
		t.Fatal(err)
	}
	if a := r.get("/"); len(a.Entries) != 0 {
		t.Errorf("a first failure needs attention: %+v", a.Entries)
	}
	if a := r.get("/settled"); len(a.Entries) != 1 || a.Entries[0].ID != id {
		t.Errorf("/settled has %+v", a.Entries)
	}
}

// The page says in a sentence how each kind of end is known.
func TestEvidence(t *testing.T) {
	r := newRig(t)
	for end, status := range map[string]completer.Status{
		"expired": {End: completer.EndTimedOut}, "over": {End: completer.EndOther}, "unknown": {End: completer.EndUnknown}, "delivered": {End: completer.EndOurs},
	} {
		r.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrOver }
		r.temporal.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) { return status, nil }
		c, id := r.entry(nil)
		_ = (async.Pending[Decision]{Callback: c}).Complete(t.Context(), Decision{By: secret}) // ErrClosed for some ends
		e := r.get("/entries/" + id)
		if e.End != end || e.Evidence == "" {
			t.Errorf("the end is %q (%s), want %q", e.End, e.Evidence, end)
		}
		r.page("/entries/"+id).wantPage(t, end, 200, "How the end is known")
	}
	c, id := r.entry(nil)
	if err := c.Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := r.get("/entries/" + id); e.End != "abandoned" || !strings.Contains(e.Evidence, "Temporal was not called") {
		t.Errorf("the abandoned entry's end is %q (%s)", e.End, e.Evidence)
	}
}

func TestFilters(t *testing.T) {
	r := newRig(t)
	_, red := r.entry(map[string]string{"team": "red", "a=b": "c"})
	_, blue := r.entry(map[string]string{"team": "blue"})
	_, refused := r.settled()
	for query, want := range map[string]string{
		"label=team%3Dred":                  red,
		"label=team%3Dblue":                 blue,
		"label=team%3Dgreen":                "",
		"label=team%3Dred&label=team%3Dred": red,
		"class=refused":                     refused,
		"state=settled":                     refused,
		"age=1h":                            "",
		"type=approve&state=settled":        refused,
		"type=other":                        "",
		"result=other":                      "",
		"namespace=other":                   "",
		"key=other":                         "",
		"workflow=other":                    "",
		"state=settled&type=&key=":          refused,
	} {
		a := r.get("/all?" + query)
		var got strings.Builder
		for _, e := range a.Entries {
			got.WriteString(e.ID)
		}
		if a.status != 200 || got.String() != want {
			t.Errorf("%s: %d with %q, want %q", query, a.status, got.String(), want)
		}
	}
	r.page("/all?label=team%3Dred&age=").wantPage(t, "the form keeps what was typed", 200, `value="team=red"`, "details open")
}

// A page may be empty and have a next one; all pages together have each entry
// once.
func TestPaging(t *testing.T) {
	r := newRig(t)
	want := make(map[string]bool)
	for range 7 {
		_, id := r.entry(nil)
		want[id] = true
	}
	for _, path := range []string{"/all", "/waiting", "/all?class=&age=0s"} {
		seen, after := make(map[string]bool), ""
		for range 10 {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			a := r.get(path + sep + "limit=2&after=" + after)
			if len(a.Entries) > 2 {
				t.Fatalf("a page of %d entries, want at most 2", len(a.Entries))
			}
			for _, e := range a.Entries {
				if seen[e.ID] {
					t.Errorf("%s has %s twice", path, e.ID)
				}
				seen[e.ID] = true
			}
			if after = a.Next; after == "" {
				break
			}
		}
		if len(seen) != len(want) {
			t.Errorf("the pages of %s have %d entries, want %d", path, len(seen), len(want))
		}
	}
	r.page("/all?limit=2").wantPage(t, "a page with a next one", 200, "Next", "after=")
}

// A board works below any path, because its links are relative.
func TestMounts(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	mux := http.NewServeMux()
	mux.Handle("/a/b/", http.StripPrefix("/a/b", r.board))
	mux.Handle("/a/b", http.StripPrefix("/a/b", r.board))
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, path := range []string{"/a/b", "/a/b/", "/a/b/waiting", "/a/b/style.css", "/a/b/entries/" + id} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || path == "/a/b" && resp.Request.URL.Path != "/a/b/" {
			t.Errorf("%s: %s at %s", path, resp.Status, resp.Request.URL)
		}
	}
	r.page("/entries/"+id).wantPage(t, "an entry's links", 200, `href="../style.css"`, `href="../waiting"`, `action="../entries/`+id+`/abandon"`)
	r.page("/waiting").wantPage(t, "a list's links", 200, `href="./style.css"`, `href="./entries/`+id+`"`, `action="./bulk"`)
	if a := r.page("/waiting"); strings.Contains(a.body, `href="/`) {
		t.Error("a page has a link that begins at the host's root")
	}
}

// Only pages without input fields refresh themselves.
func TestRefresh(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	for path, want := range map[string]bool{"/": false, "/waiting": false, "/waiting?watch=1": true, "/counts": false, "/counts?watch=1": true, "/entries/" + id: false} {
		a := r.page(path)
		if got := strings.Contains(a.body, `http-equiv="refresh"`); got != want {
			t.Errorf("%s refreshes itself: %v, want %v", path, got, want)
		}
		if typed := strings.Contains(a.body, "<input") || strings.Contains(a.body, "<textarea"); typed && want {
			t.Errorf("%s refreshes itself, and has something to type", path)
		}
	}
}

// A narrow page breaks long names between their words.
func TestNamesBreak(t *testing.T) {
	r := newRig(t)
	c := start[Decision](r, async.StartOptions{Labels: map[string]string{"job": "ReconcileTheLedger.v2/EU_west<b>"}})
	for _, path := range []string{"/waiting", "/entries/" + c.Info().ID} {
		r.page(path).wantPage(t, path, 200, "Reconcile<wbr>The<wbr>Ledger.<wbr>v2/<wbr>EU_<wbr>west&lt;b&gt;")
	}
}

// A page about a problem belongs to no list.
func TestProblemIsNoList(t *testing.T) {
	r := newRig(t)
	if a := r.page("/waiting?age=x"); a.status != 400 || strings.Contains(a.body, "aria-current") {
		t.Errorf("a refused filter: %d, with a current list: %t", a.status, strings.Contains(a.body, "aria-current"))
	}
}

// The journal shows the data of the named kinds of notes only.
func TestNoteKinds(t *testing.T) {
	r := newRig(t, func(o *board.Options) { o.NoteKinds = []string{"comment"} })
	c, id := r.entry(nil)
	for kind, data := range map[string]string{"comment": `"on its way"`, "vote": `"` + secret + `"`} {
		if err := c.Note(t.Context(), async.Note{At: time.Now(), Kind: kind, By: "bob", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	r.page("/entries/"+id).wantPage(t, "the journal", 200, "on its way", "vote", "bob")
	e := r.get("/entries/" + id)
	if len(e.Journal) != 2 {
		t.Fatalf("the journal is %+v", e.Journal)
	}
	for _, n := range e.Journal {
		if (len(n.Data) > 0) != (n.Kind == "comment") {
			t.Errorf("the note %s has data %q", n.Kind, n.Data)
		}
	}
}

func TestLinksToTemporal(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	e := r.get("/entries/" + id)
	if len(e.Links) != 1 || !strings.HasPrefix(e.Links[0].URL, "https://temporal.example.com/ui/namespaces/") {
		t.Errorf("the links are %+v", e.Links)
	}
}
