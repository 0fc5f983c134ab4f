package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/board"
)

// way is a way to call the board. A way returns one of the words allowed,
// forbidden, hidden and sign-in.
type way func(r *rig, id, verb string) string

// always(word) and viewOnly return, for each verb, the word that a way must
// return.
func always(word string) func(string) string { return func(string) string { return word } }

func viewOnly(verb string) string {
	if verb == "show" {
		return "allowed"
	}
	return "forbidden"
}

// TestMatrix checks that each decision of Authorize has the same result for
// each action: on pages, as JSON and on the command line, for one entry and for
// several.
func TestMatrix(t *testing.T) {
	ways := map[string]way{"page": byPage, "JSON": byJSON, "command line": byCommand, "bulk page": byBulkPage, "bulk JSON": byBulkJSON}
	verbs := map[string]board.Action{"show": board.View, "retry": board.Retry, "abandon": board.Abandon, "complete": board.Answer, "fail": board.Answer, "reject": board.Answer}
	decisions := map[string]struct {
		refuse   func(entry bool, a, asked board.Action) error
		want     func(verb string) string
		nameless bool // Authorize returns no name
	}{
		"everything":     {refuse: func(bool, board.Action, board.Action) error { return nil }, want: always("allowed")},
		"nothing":        {refuse: func(bool, board.Action, board.Action) error { return errNo }, want: always("forbidden")},
		"not known":      {refuse: func(bool, board.Action, board.Action) error { return board.ErrSignIn }, want: always("sign-in")},
		"not the entry":  {refuse: func(entry bool, _, _ board.Action) error { return map[bool]error{true: errNo}[entry] }, want: always("hidden")},
		"without a name": {refuse: func(bool, board.Action, board.Action) error { return nil }, want: viewOnly, nameless: true},
		"a panic":        {refuse: func(bool, board.Action, board.Action) error { panic("of the application") }, want: always("forbidden")},
		"a panic for the entry": {refuse: func(entry bool, _, _ board.Action) error {
			if entry {
				panic("of the application")
			}
			return nil
		}, want: always("hidden")},
		"a panic for the action": {refuse: func(_ bool, a, asked board.Action) error {
			if a == asked && a != board.View {
				panic("of the application")
			}
			return nil
		}, want: viewOnly},
		"not the action": {refuse: func(_ bool, a, asked board.Action) error {
			if a == asked && a != board.View {
				return errNo
			}
			return nil
		}, want: viewOnly},
		"the action alone": {refuse: func(entry bool, a, asked board.Action) error {
			if entry && a != asked || entry && a == board.View {
				return errNo
			}
			return nil
		}, want: always("hidden")},
	}
	cells := 0
	r := newRig(t)
	for verb, action := range verbs {
		for name, d := range decisions {
			for wayName, in := range ways {
				if strings.HasPrefix(wayName, "bulk") && action != board.Retry && action != board.Abandon {
					continue
				}
				cells++
				r.mu.Lock()
				r.refuse, r.nameless = nil, false
				r.mu.Unlock()
				var id string
				before := async.Waiting
				if verb == "retry" {
					id, before = r.refused(), async.Settled
				} else {
					_, id = r.entry(async.StartOptions{})
				}
				r.mu.Lock()
				r.nameless = d.nameless
				r.refuse = func(a board.Action, c async.Callback) error { return d.refuse(c.ID() != "", a, action) }
				r.mu.Unlock()
				want := d.want(verb)
				if got := in(r, id, verb); got != want {
					t.Errorf("%s by %s, allowed %s: %s, want %s", verb, wayName, name, got, want)
				}
				c, err := r.hub.Find(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				acted := c.Info().State != before || len(c.Notes()) > 0
				if acted != (want == "allowed" && verb != "show") {
					t.Errorf("%s by %s, allowed %s: the entry is %v with %d notes", verb, wayName, name, c.Info().State, len(c.Notes()))
				}
			}
		}
	}
	if want := len(decisions) * (len(verbs)*3 + 2*2); cells != want {
		t.Errorf("the matrix has %d cells, want %d", cells, want)
	}
}

// send sends a request as a browser or a program does.
func send(r *rig, method, path, accept, media, body string) (status int, text string) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+"/ops"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	q.Header.Set("Accept", accept)
	if body != "" {
		q.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.TeeReader(resp.Body, r))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func word4(status int) string {
	switch status {
	case http.StatusOK:
		return "allowed"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "hidden"
	case http.StatusUnauthorized:
		return "sign-in"
	default:
		return fmt.Sprint("status ", status)
	}
}

func byPage(r *rig, id, verb string) string {
	if verb == "show" {
		status, _ := send(r, "GET", "/entries/"+id, "text/html", "", "")
		return word4(status)
	}
	v := url.Values{"why": {"x"}}
	switch verb {
	case "complete":
		v.Set("result", `{"approved":true}`)
	case "fail", "reject":
		v.Set("message", "x")
	}
	status, _ := send(r, "POST", "/entries/"+id+"/"+verb, "text/html", "application/x-www-form-urlencoded", v.Encode())
	return word4(status)
}

func byJSON(r *rig, id, verb string) string {
	if verb == "show" {
		status, _ := send(r, "GET", "/entries/"+id, "application/json", "", "")
		return word4(status)
	}
	body := `{"why":"x"}`
	switch verb {
	case "complete":
		body = `{"why":"x","result":{"approved":true}}`
	case "fail", "reject":
		body = `{"why":"x","message":"x"}`
	}
	status, _ := send(r, "POST", "/entries/"+id+"/"+verb, "application/json", "application/json", body)
	return word4(status)
}

// byBulkPage and byBulkJSON read the result for the one selected entry.
func byBulkPage(r *rig, id, verb string) string {
	status, text := send(r, "POST", "/bulk", "text/html", "application/x-www-form-urlencoded", url.Values{"why": {"x"}, "action": {verb}, "row": {id + "."}}.Encode())
	return word5(status, text, `class="ok"`)
}

func byBulkJSON(r *rig, id, verb string) string {
	status, text := send(r, "POST", "/bulk", "application/json", "application/json", `{"why":"x","action":"`+verb+`","rows":[{"id":"`+id+`"}]}`)
	return word5(status, text, `"ok":true`)
}

func word5(status int, text, ok string) string {
	switch {
	case status != http.StatusOK:
		return word4(status)
	case strings.Contains(text, ok):
		return "allowed"
	case strings.Contains(text, "not-found"):
		return "hidden"
	case strings.Contains(text, "forbidden"), strings.Contains(text, "nameless"):
		return "forbidden"
	default:
		return text
	}
}

func byCommand(r *rig, id, verb string) string {
	args := []string{verb, id}
	switch verb {
	case "retry", "abandon":
		args = append(args, "-why", "x")
	case "complete":
		args = append(args, "-why", "x", "-f", "-")
	case "fail", "reject":
		args = append(args, "-why", "x", "-message", "x")
	}
	x := r.with(nil, `{"approved":true}`, args...)
	switch {
	case x.code == exitForbidden && strings.Contains(x.err, "sign-in"):
		return "sign-in"
	default:
		return map[int]string{exitDone: "allowed", exitForbidden: "forbidden", exitNotFound: "hidden"}[x.code]
	}
}
