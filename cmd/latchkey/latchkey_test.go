package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

func TestRead(t *testing.T) {
	r := newRig(t)
	_, waiting := r.entry(async.StartOptions{Labels: map[string]string{"team": "red"}})
	refused := r.refused()
	r.latchkey("list").want(t, "list", 0, refused, "settled, result, refused", "ID")
	r.latchkey("list", "waiting").want(t, "list waiting", 0, waiting, "approve")
	if x := r.latchkey("list", "all", "-q", "-label", "team=red"); x.code != 0 || x.out != waiting+"\n" {
		t.Errorf("list -q: %+v", x)
	}
	ids := []string{waiting, refused}
	slices.Sort(ids) // entries of one millisecond are not in the order of their creation
	x := r.latchkey("list", "-limit", "1", "all")
	x.want(t, "a first page", 0, "-after "+ids[0])
	if x := r.latchkey("list", "-limit", "1", "-all", "-q", "all"); x.out != strings.Join(ids, "\n")+"\n" {
		t.Errorf("all pages: %+v", x)
	}
	x = r.latchkey("list", "all", "-o", "json")
	var p page
	if err := json.Unmarshal([]byte(x.out), &p); err != nil || len(p.Entries) != 2 {
		t.Errorf("list -o json: %v, %+v", err, x)
	}
	r.latchkey("show", waiting).want(t, "show", 0, "team=red", "expenses.Decision", "waiting")
	r.latchkey("show", waiting, "-o", "json").want(t, "show -o json", 0, `"resultSchema"`)
	r.latchkey("stats").want(t, "stats", 0, "waiting", "refused", "snapshot of")
	r.latchkey("tail", "all", "-polls", "1").want(t, "tail", 0, "new", waiting, refused)
}

// stats -o json prints the board's document.
func TestStatsJSON(t *testing.T) {
	r := newRigInMemory(t)
	r.entry(async.StartOptions{})
	r.refused()
	x := r.latchkey("stats", "-o", "json")
	x.want(t, "stats", 0)
	var v struct {
		At         time.Time
		Unreadable *int
		Groups     []struct {
			State, ActivityType, Class string
			Entries                    int
		}
	}
	if err := json.Unmarshal([]byte(x.out), &v); err != nil {
		t.Fatalf("%v: %s", err, x.out)
	}
	if len(v.Groups) != 2 || v.At.IsZero() || v.Unreadable == nil || v.Groups[0].State != "waiting" || v.Groups[0].Entries != 1 || v.Groups[0].ActivityType != "approve" || v.Groups[1].Class != "refused" {
		t.Errorf("the counts are %+v", v)
	}
}

// tail prints what changes.
func TestChanges(t *testing.T) {
	r := newRig(t)
	var out strings.Builder
	c := &call{world: world{out: &out}}
	a, b := entry{ID: "a", State: "waiting"}, entry{ID: "b", State: "waiting"}
	settled := entry{ID: "a", State: "settled", Class: "refused"}
	if err := c.printChanges(poll{entries: map[string]entry{"a": a, "b": b}}, poll{entries: map[string]entry{"a": settled, "c": {ID: "c"}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"changed  a  settled, refused", "new      c", "left     b"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the changes lack %q:\n%s", want, out.String())
		}
	}
	r.latchkey("tail", "-interval", "1ms").want(t, "a short interval", 2, "-interval")
}

func TestAct(t *testing.T) {
	r := newRig(t)
	refused := r.refused()
	r.latchkey("retry", refused, "-why", "mended").want(t, "retry", 0, refused)
	if _, err := r.hub.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.state(refused); s != async.Closed {
		t.Errorf("after retry the entry is %v", s)
	}
	_, one := r.entry(async.StartOptions{})
	answer := r.file("answer.json", `{"approved":true,"by":"`+secret+`"}`, 0o600)
	r.latchkey("complete", one, "-f", answer, "-why", "by phone").want(t, "complete", 0, "Accepted")
	_, two := r.entry(async.StartOptions{})
	r.with(nil, `{"approved":true}`, "complete", "-f", "-", "-why", "by phone", two).want(t, "complete from standard input", 0, "Accepted")
	_, three := r.entry(async.StartOptions{})
	r.latchkey("fail", three, "-message", secret, "-type", "Lost", "-why", "x").want(t, "fail", 0, "Accepted")
	_, four := r.entry(async.StartOptions{})
	r.latchkey("reject", "-why", "x", "-message", "no", "--", four).want(t, "reject", 0, "Accepted")
	for _, id := range []string{one, two, three, four} {
		if s := r.state(id); s != async.Closed {
			t.Errorf("the entry is %v, want it closed", s)
		}
	}
	_, five := r.entry(async.StartOptions{})
	_, six := r.entry(async.StartOptions{})
	list := r.latchkey("list", "waiting", "-q")
	r.with(nil, list.out, "abandon", "-", "-why", "test data", "-o", "json").want(t, "abandon -", 0, five, six, `"ok":true`)
	r.latchkey("show", five).want(t, "the journal", 0, "operator", "ada", "test data")
}

func TestExitCodes(t *testing.T) {
	r := newRig(t)
	c, id := r.entry(async.StartOptions{})
	gone := strings.Repeat("A", len(id))
	none := map[string]string{"LATCHKEY_TOKEN": "wrong"}
	for name, tt := range map[string]struct {
		env  map[string]string
		in   string
		args []string
		code int
		text string
	}{
		"help":                     {args: []string{"help"}, code: 0, text: "Exit codes"},
		"help of a command":        {args: []string{"list", "-h"}, code: 0, text: "-label"},
		"no command":               {code: 2, text: "a command is missing"},
		"an unknown command":       {args: []string{"delete"}, code: 2, text: "no command"},
		"an unknown flag":          {args: []string{"list", "-x"}, code: 2, text: "-x"},
		"an unknown list":          {args: []string{"list", "lost"}, code: 2, text: "no list"},
		"no ID":                    {args: []string{"show"}, code: 2, text: "ID"},
		"no reason":                {args: []string{"abandon", id}, code: 2, text: "-why"},
		"no result":                {args: []string{"complete", id, "-why", "x"}, code: 2, text: "-f"},
		"no message":               {args: []string{"fail", id, "-why", "x"}, code: 2, text: "-message"},
		"a result that is no JSON": {args: []string{"complete", id, "-f", "-", "-why", "x"}, in: "{", code: 2, text: "JSON"},
		"a bad output":             {args: []string{"list", "-o", "yaml"}, code: 2, text: "-o"},
		"a bad URL":                {args: []string{"list", "-url", "ftp://x"}, code: 2, text: "-url"},
		"a token in clear":         {args: []string{"list", "-url", "http://board.example.com"}, code: 2, text: "https"},
		"a path for an ID":         {args: []string{"show", "../waiting"}, code: 2, text: "ID of an entry"},
		"a wrong token":            {env: none, args: []string{"list"}, code: 3, text: "Sign in"},
		"an entry that is gone":    {args: []string{"show", gone}, code: 4, text: "not-found"},
		"a callback ID":            {args: []string{"show", c.ID()}, code: 4, text: "not-found"},
		"gone in bulk":             {args: []string{"abandon", gone, "-why", "x"}, code: 4, text: "not-found"},
		"nothing to retry":         {args: []string{"retry", id, "-why", "x"}, code: 5, text: "no-outcome"},
		"a result of another type": {args: []string{"complete", id, "-f", "-", "-why", "x"}, in: `{"aproved":true}`, code: 5, text: "/aproved"},
		"another round":            {args: []string{"complete", id, "-f", "-", "-why", "x", "-round", "000000000000"}, in: `{"approved":true}`, code: 5, text: "round"},
		"a bad filter":             {args: []string{"list", "-age", "old"}, code: 5, text: "age"},
		"no board there":           {args: []string{"list", "-url", r.server.URL + "/other"}, code: 4, text: "check -url"},
		"nothing there":            {args: []string{"list", "-url", "http://127.0.0.1:1"}, code: 1, text: "can't be reached"},
		"a shell that is none":     {args: []string{"completion", "cmd"}, code: 2, text: "bash, zsh or fish"},
	} {
		r.with(tt.env, tt.in, tt.args...).want(t, name, tt.code, tt.text)
	}
	if s := r.state(id); s != async.Waiting {
		t.Errorf("the entry is %v, want it to wait", s)
	}
}

// Characters that would move a terminal's cursor are printed as their codes.
func TestTerminal(t *testing.T) {
	r := newRig(t)
	evil := "\x1b[2J\u202eevil\r\nnext"
	_, id := r.entry(async.StartOptions{Key: "k", Labels: map[string]string{"l": evil}})
	for _, args := range [][]string{{"show", id}, {"list", "all"}, {"tail", "all", "-polls", "1"}} {
		x := r.latchkey(args...)
		if x.code != 0 || strings.ContainsAny(x.out, "\x1b\u202e\r") {
			t.Errorf("%s: %d, %q", args[0], x.code, x.out)
		}
	}
	r.latchkey("show", id).want(t, "show", 0, `\u001b[2J\u202eevil\u000d\nnext`)
}

// The token is not sent to the target of a redirect.
func TestRedirect(t *testing.T) {
	r := newRig(t)
	sent := ""
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { sent += q.Header.Get("Authorization") }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer server.Close()
	r.latchkey("list", "-url", server.URL).want(t, "a redirect", 5, "redirects")
	if sent != "" {
		t.Error("the token was sent to another server")
	}
}
