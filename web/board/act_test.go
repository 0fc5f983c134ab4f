package board_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/board"
)

// Each action has its effect, by form and by JSON, and its reason is in the
// journal and in the audit.
func TestActions(t *testing.T) {
	for _, way := range []string{asPage, asJSON} {
		for verb, tt := range map[string]struct {
			form, json string
			settled    bool // needs an entry with an outcome that Temporal refuses
			state      async.State
			outcome    string
		}{
			"retry":    {"why=mended", `{"why":"mended"}`, true, async.Closed, "result"},
			"abandon":  {"why=duplicate", `{"why":"duplicate"}`, false, async.Closed, ""},
			"complete": {"why=by+phone&result=" + `%7B%22approved%22%3Atrue%2C%22by%22%3A%22` + secret + `%22%7D`, `{"why":"by phone","result":{"approved":true,"by":"` + secret + `"}}`, false, async.Closed, "result"},
			"fail":     {"why=lost&message=" + secret, `{"why":"lost","message":"` + secret + `"}`, false, async.Closed, "failure"},
			"reject":   {"why=no&message=" + secret, `{"why":"no","message":"` + secret + `"}`, false, async.Closed, "failure"},
		} {
			r := newRig(t)
			var id string
			if tt.settled {
				_, id = r.settled()
				r.temporal.CompleteFunc = nil
			} else {
				_, id = r.entry(nil)
			}
			body := tt.form
			if way == asJSON {
				body = tt.json
			}
			a := r.do("POST", "/entries/"+id+"/"+verb, way, body)
			what := verb + " as " + way
			if way == asJSON {
				a.want(t, what, 200, "ok")
			} else {
				a.wantPage(t, what, 200, "Done", id)
			}
			if verb == "retry" {
				if _, err := r.hub.Work(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if i := r.info(id); i.State != tt.state || i.Outcome != tt.outcome {
				t.Errorf("%s: the entry is %v with outcome %q, want %v with %q", what, i.State, i.Outcome, tt.state, tt.outcome)
			}
			if notes := r.notes(id); len(notes) != 1 || !strings.HasPrefix(notes[0], `operator ada {"action":"`+verb+`","why":"`) {
				t.Errorf("%s: the journal is %q", what, notes)
			}
			if len(r.audits) != 1 || !strings.Contains(r.audits[0], " "+id+" ") || !strings.HasPrefix(r.audits[0], "ada ") {
				t.Errorf("%s: the audit has %q", what, r.audits)
			}
			// A repeat succeeds, and adds no note.
			again := r.do("POST", "/entries/"+id+"/"+verb, asJSON, tt.json)
			again.want(t, what+", repeated", 200, "ok")
			if notes := r.notes(id); len(notes) != 1 {
				t.Errorf("%s: after a repeat the journal is %q", what, notes)
			}
		}
	}
}

// If the board refuses an operator's input, it keeps the typed text and accepts
// nothing.
func TestRefusedAnswers(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	r.post("/entries/"+id+"/complete", "why", "by phone", "result", `{"aproved":true}`).wantPage(t, "a misspelt name", 422, `by phone`, "/aproved", "details class=\"act\" open", "aproved&#34;:true")
	r.post("/entries/"+id+"/complete", "why", "", "result", `{"approved":true}`).wantPage(t, "no reason", 422, "A reason is required", "approved&#34;:true")
	r.post("/entries/"+id+"/complete", "why", "  ", "result", `{"approved":true}`).wantPage(t, "a blank reason", 422, "A reason is required")
	r.post("/entries/"+id+"/fail", "why", "x", "message", " ").wantPage(t, "no message", 422, "A message is required")
	for body, code := range map[string]string{
		`{"why":"x"}`:                                                            "invalid",
		`{"why":"x","result":null}`:                                              "invalid",
		`{"why":"x","result":{}}`:                                                "invalid",
		`{"result":{"approved":true}}`:                                           "invalid",
		`{"why":"","result":{"approved":true}}`:                                  "why",
		`{"why":"x","result":{"approved":true},"result":{}}`:                     "invalid",
		`{"why":"x","result":{"approved":true},"as":"admin"}`:                    "invalid",
		`{"why":"` + strings.Repeat("x", 1001) + `","result":{"approved":true}}`: "why",
	} {
		r.do("POST", "/entries/"+id+"/complete", asJSON, body).want(t, body, 422, code)
	}
	if i := r.info(id); i.State != async.Waiting || len(r.notes(id)) != 0 || len(r.audits) != 0 {
		t.Errorf("the entry is %v, with notes %q and audits %q: want it to wait, without", i.State, r.notes(id), r.audits)
	}
}

// Actions that the state does not allow are refused with the reason.
func TestWrongState(t *testing.T) {
	r := newRig(t)
	_, waiting := r.entry(nil)
	_, settled := r.settled()
	r.temporal.CompleteFunc = nil
	c, ended := r.entry(nil)
	if err := c.Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	const result = `{"why":"x","result":{"approved":false}}`
	r.do("POST", "/entries/"+waiting+"/retry", asJSON, `{"why":"x"}`).want(t, "retry of what waits", 409, "no-outcome")
	r.do("POST", "/entries/"+settled+"/complete", asJSON, result).want(t, "another answer", 409, "settled")
	r.do("POST", "/entries/"+ended+"/complete", asJSON, result).want(t, "an answer to what is over", 410, "closed")
	r.do("POST", "/entries/"+ended+"/retry", asJSON, `{"why":"x"}`).want(t, "retry of what is over", 410, "closed")
	r.post("/entries/"+waiting+"/retry", "why", "x").wantPage(t, "retry of what waits", 409, "nothing to retry")
	for id, want := range map[string][]string{waiting: {"complete", "fail", "reject", "abandon"}, settled: {"retry", "abandon"}, ended: nil} {
		if got := r.get("/entries/" + id).Actions; !slices.Equal(got, want) {
			t.Errorf("the actions are %q, want %q", got, want)
		}
	}
}

// An answer for a round that is over does not reach the next one.
func TestRound(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	round := r.get("/entries/" + id).Round
	r.page("/entries/"+id).wantPage(t, "the form", 200, `name="round" value="`+round+`"`)
	r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x","round":"000000000000"}`).want(t, "another round", 409, "round")
	r.do("POST", "/bulk", asJSON, `{"action":"abandon","why":"x","rows":[{"id":"`+id+`","round":"000000000000"}]}`).want(t, "another round in bulk", 200, "")
	if i := r.info(id); i.State != async.Waiting {
		t.Errorf("the entry is %v, want it to wait", i.State)
	}
	r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x","round":"`+round+`"}`).want(t, "the round", 200, "ok")
}

// An audit that fails or panics prevents the action.
func TestAuditPrevents(t *testing.T) {
	for name, audit := range map[string]func() error{"fails": func() error { return errors.New(secret) }, "panics": func() error { panic(secret) }} {
		r := newRig(t, func(o *board.Options) {
			o.Audit = func(context.Context, string, board.Action, async.Callback, string) error { return audit() }
		})
		_, id := r.entry(nil)
		r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x"}`).want(t, "an audit that "+name, 503, "audit")
		if i := r.info(id); i.State != async.Waiting || len(r.notes(id)) != 0 {
			t.Errorf("the audit %s, and the entry is %v with notes %q", name, i.State, r.notes(id))
		}
	}
}

// The reason and the action are one write. A process that stops after any
// number of writes leaves both or neither.
func TestReasonIsOneWrite(t *testing.T) {
	for _, verb := range []string{"retry", "abandon", "complete", "fail", "reject"} {
		for writes := range 3 {
			f := &stopping{Store: store.NewMemory(), left: math.MaxInt}
			r := newRigOn(t, f)
			c, id := r.entry(nil)
			if verb == "retry" {
				c, id = r.settled()
			}
			body := map[string]string{"complete": `{"why":"x","result":{"approved":true}}`, "fail": `{"why":"x","message":"m"}`, "reject": `{"why":"x","message":"m"}`}[verb]
			before := r.info(id)
			f.left = writes
			r.do("POST", "/entries/"+id+"/"+verb, asJSON, cmp.Or(body, `{"why":"x"}`))
			f.left = math.MaxInt
			after, noted := r.info(id), len(r.notes(id)) == 1
			if acted := after.State != before.State || !after.NextDelivery.Equal(before.NextDelivery); acted != noted || acted != (writes > 0) {
				t.Errorf("%s of %s, stopped after %d writes: acted %v, noted %v", verb, c.Info().ID, writes, acted, noted)
			}
		}
	}
}

// stopping is the store of a process that stops after some writes.
type stopping struct {
	store.Store
	left int
}

func (s *stopping) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if s.left--; s.left < 0 {
		return 0, errors.New("the process has stopped")
	}
	return s.Store.Put(ctx, e)
}

// A full journal does not prevent an operator from acting.
func TestFullJournal(t *testing.T) {
	r := newRig(t)
	c, id := r.entry(nil)
	for n := range 256 {
		if err := c.Note(t.Context(), async.Note{Kind: "k", By: strings.Repeat("x", n+1)}); err != nil {
			t.Fatal(err)
		}
	}
	r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x"}`).want(t, "abandon", 200, "ok")
	if !strings.Contains(r.log.String(), "the journal is full") {
		t.Error("the log does not say that the reason is not kept")
	}
}

// Authorize decides. A panic of Authorize refuses the caller, and a caller that
// acts needs a name.
func TestAuthorize(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	r.refuse = func(a board.Action, _ async.Callback) error {
		if a == board.View {
			return nil
		}
		panic("of the application")
	}
	r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x"}`).want(t, "a panic", 403, "forbidden")
	r.refuse, r.by = nil, ""
	r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x"}`).want(t, "no name", 403, "nameless")
	r.get("/entries/"+id).want(t, "view without a name", 200, "")
	r.by = "ada"
	r.refuse = func(board.Action, async.Callback) error { return board.ErrSignIn }
	r.get("/").want(t, "an unknown caller", 401, "sign-in")
	if a := r.get("/counts"); a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("counts without signing in: %d", a.status)
	}
	r.get("/openapi.json").want(t, "the document without signing in", 401, "sign-in")
	if i := r.info(id); i.State != async.Waiting {
		t.Errorf("the entry is %v", i.State)
	}
}

// An entry that a caller may not view does not exist for that caller: not in a
// list, not at its address, not in a bulk action, and not for any action.
func TestAnotherPersonsEntry(t *testing.T) {
	r := newRig(t)
	_, mine := r.entry(map[string]string{"team": "mine"})
	_, theirs := r.entry(map[string]string{"team": "theirs"})
	r.refuse = func(_ board.Action, c async.Callback) error {
		if c.Info().Labels["team"] == "theirs" {
			return errNo
		}
		return nil
	}
	for _, path := range []string{"/waiting", "/all", "/all?label=team%3Dtheirs"} {
		if a := r.get(path); strings.Contains(a.body, theirs) || strings.Contains(a.body, `"theirs"`) {
			t.Errorf("%s has another person's entry", path)
		}
	}
	nobody := strings.Repeat("A", len(theirs))
	for _, way := range []string{asPage, asJSON} {
		got, want := r.do("GET", "/entries/"+theirs, way, ""), r.do("GET", "/entries/"+nobody, way, "")
		if got.status != 404 || way == asJSON && got.body != want.body {
			t.Errorf("another person's entry is %d, and differs from one that is not there:\n%s\n%s", got.status, got.body, want.body)
		}
	}
	for _, verb := range []string{"retry", "abandon", "complete", "fail", "reject"} {
		body := `{"why":"x"}`
		switch verb {
		case "complete":
			body = `{"why":"x","result":{"approved":true}}`
		case "fail", "reject":
			body = `{"why":"x","message":"x"}`
		}
		r.do("POST", "/entries/"+theirs+"/"+verb, asJSON, body).want(t, verb, 404, "not-found")
	}
	a := r.do("POST", "/bulk", asJSON, `{"action":"abandon","why":"x","rows":[{"id":"`+theirs+`"},{"id":"`+mine+`"}]}`)
	if len(a.Results) != 2 || a.Results[0].Code != "not-found" || !a.Results[1].OK {
		t.Errorf("the results are %+v", a.Results)
	}
	if i := r.info(theirs); i.State != async.Waiting || len(r.notes(theirs)) != 0 {
		t.Errorf("another person's entry is %v, with notes %q", i.State, r.notes(theirs))
	}
}

// An activity of a type that the board does not know cannot be completed, but
// can be rejected.
func TestUnknownType(t *testing.T) {
	r := newRig(t, func(o *board.Options) { o.Types = nil })
	_, id := r.entry(nil)
	if got := r.get("/entries/" + id).Actions; slices.Contains(got, "complete") || !slices.Contains(got, "reject") {
		t.Errorf("the actions are %q", got)
	}
	r.do("POST", "/entries/"+id+"/complete", asJSON, `{"why":"x","result":{"approved":true}}`).want(t, "complete", 422, "unknown-type")
	r.do("POST", "/entries/"+id+"/reject", asJSON, `{"why":"x","message":"x"}`).want(t, "reject", 200, "ok")
}

// An activity without a result is completed without a body.
func TestNone(t *testing.T) {
	r := newRig(t, func(o *board.Options) { o.Types = []answer.Type{} })
	c := start[async.None](r, async.StartOptions{})
	r.do("POST", "/entries/"+c.Info().ID+"/complete", asJSON, `{"why":"x"}`).want(t, "complete", 200, "ok")
}

// Requests that must not act do not act.
func TestBadRequests(t *testing.T) {
	r := newRig(t)
	c, id := r.entry(nil)
	own := r.get("/entries/" + id)
	own.want(t, "show", 200, "")
	for name, tt := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		code               string
	}{
		"GET that acts":           {"GET", "/entries/" + id + "/abandon?why=x", "", nil, 405, "method"},
		"HEAD that acts":          {"HEAD", "/entries/" + id + "/abandon", "", nil, 405, ""},
		"GET of bulk":             {"GET", "/bulk?action=abandon&why=x&row=" + id, "", nil, 405, "method"},
		"POST of a list":          {"POST", "/waiting", "why=x", nil, 405, "method"},
		"DELETE of an entry":      {"DELETE", "/entries/" + id, "", nil, 405, "method"},
		"cross-site POST":         {"POST", "/entries/" + id + "/abandon", "why=x", []string{"Sec-Fetch-Site", "cross-site"}, 403, "origin"},
		"same-site POST":          {"POST", "/entries/" + id + "/abandon", "why=x", []string{"Sec-Fetch-Site", "same-site"}, 403, "origin"},
		"POST of another origin":  {"POST", "/bulk", "why=x&action=abandon&row=" + id, []string{"Origin", "https://evil.example"}, 403, "origin"},
		"POST without a body":     {"POST", "/entries/" + id + "/abandon", "", nil, 415, "media-type"},
		"a multipart form":        {"POST", "/entries/" + id + "/abandon", "why=x", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, "media-type"},
		"text":                    {"POST", "/entries/" + id + "/abandon", "why=x", []string{"Content-Type", "text/plain"}, 415, "media-type"},
		"a repeated field":        {"POST", "/entries/" + id + "/abandon", "why=x&why=y", nil, 400, "form"},
		"an unknown field":        {"POST", "/entries/" + id + "/abandon", "why=x&by=eve", nil, 400, "form"},
		"a damaged form":          {"POST", "/entries/" + id + "/abandon", "why=%zz", nil, 400, "form"},
		"an unknown action":       {"POST", "/entries/" + id + "/delete", "why=x", nil, 404, "no-page"},
		"an unknown bulk action":  {"POST", "/bulk", "why=x&action=delete&row=" + id, nil, 422, "action"},
		"an unknown page":         {"GET", "/secrets", "", nil, 404, "no-page"},
		"a path with dots":        {"GET", "/entries/../all", "", nil, 404, "no-page"},
		"an entry that is gone":   {"GET", "/entries/" + strings.Repeat("A", len(id)), "", nil, 404, "not-found"},
		"an ID that is none":      {"GET", "/entries/%3Cscript%3E", "", nil, 404, "not-found"},
		"a callback ID":           {"GET", "/entries/" + c.ID(), "", nil, 404, "not-found"},
		"a secret part":           {"GET", "/entries/" + c.ID()[len(id):], "", nil, 404, "not-found"},
		"a long ID":               {"GET", "/entries/" + strings.Repeat("x", 5000), "", nil, 404, "not-found"},
		"an unknown parameter":    {"GET", "/all?sort=age", "", nil, 400, "filter"},
		"a repeated parameter":    {"GET", "/all?type=a&type=b", "", nil, 400, "filter"},
		"a limit over the limit":  {"GET", "/all?limit=501", "", nil, 400, "filter"},
		"a limit of nothing":      {"GET", "/all?limit=0", "", nil, 400, "filter"},
		"a bad age":               {"GET", "/all?age=old", "", nil, 400, "filter"},
		"a negative age":          {"GET", "/all?age=-1h", "", nil, 400, "filter"},
		"a bad label":             {"GET", "/all?label=team", "", nil, 400, "filter"},
		"a bad state":             {"GET", "/all?state=lost", "", nil, 400, "filter"},
		"a state of another list": {"GET", "/waiting?state=settled", "", nil, 400, "filter"},
		"text that is not UTF-8":  {"GET", "/all?type=%ff", "", nil, 400, "filter"},
		"a bad after":             {"GET", "/all?after=%2F%2F", "", nil, 400, "invalid-argument"},
		"a damaged query":         {"GET", "/all?type=%zz", "", nil, 400, "filter"},
		"parameters of an entry":  {"GET", "/entries/" + id + "?act=abandon", "", nil, 400, "filter"},
	} {
		for _, way := range []string{asJSON, asPage} {
			a := r.do(tt.method, tt.path, way, tt.body, tt.header...)
			if a.status != tt.status || way == asJSON && tt.method != "HEAD" && a.Code != tt.code {
				t.Errorf("%s as %s: status %d with code %q, want %d with %q", name, way, a.status, a.Code, tt.status, tt.code)
			}
			if a.status == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
				t.Errorf("%s: no header Allow", name)
			}
		}
	}
	if i := r.info(id); i.State != async.Waiting || len(r.audits) != 0 {
		t.Errorf("the entry is %v, the audits are %q: a bad request has acted", i.State, r.audits)
	}
	r.do("POST", "/entries/"+id+"/abandon", asJSON, "why=x", "Sec-Fetch-Site", "same-origin").want(t, "the board's own form", 200, "ok")
}
