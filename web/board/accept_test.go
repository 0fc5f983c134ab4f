package board_test

import (
	"strings"
	"testing"
)

// The header Accept decides between a page and JSON. Only a sender that prefers
// JSON gets JSON.
func TestAccept(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	for name, x := range map[string]struct {
		accept string
		json   bool
	}{
		"no header":           {"", false},
		"curl":                {"*/*", false},
		"Firefox":             {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", false},
		"Chromium":            {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7", false},
		"the command line":    {"application/json", true},
		"problem documents":   {"application/problem+json", true},
		"JSON or anything":    {"application/json, */*;q=0.5", true},
		"axios":               {"application/json, text/plain, */*", true},
		"upper case":          {"Application/JSON", true},
		"both":                {"text/html, application/json", true},
		"rather a page":       {"text/html;q=0.9, application/json;q=0.8", false},
		"rather JSON":         {"text/html;q=0.8, application/json; q=0.9", true},
		"never JSON":          {"application/json;q=0, */*", false},
		"JSON twice":          {"application/json;q=0.1, text/html;q=0.5, application/json;q=0.7", true},
		"a bad weight":        {"application/json;q=x, text/html;q=0.9", true},
		"other parameters":    {"application/json;charset=utf-8;q=0.4, text/html;level=1;q=0.5", false},
		"another kind":        {"text/plain", false},
		"JSON of another API": {"application/vnd.github+json", false},
	} {
		for _, path := range []string{"/", "/waiting", "/counts", "/entries/" + id, "/entries/none", "/nothing", "/all?age=x"} {
			a := r.do("GET", path, x.accept, "")
			if got := a.header.Get("Content-Type"); strings.HasPrefix(got, "application/") != x.json || !x.json && got != "text/html; charset=utf-8" {
				t.Errorf("%s gets %s for %s, want JSON: %t", name, got, path, x.json)
			}
			if a.header.Get("Vary") != "Accept" {
				t.Errorf("%s: the header Vary of %s is %q, want Accept", name, path, a.header.Get("Vary"))
			}
		}
	}
	// A program that sends JSON gets JSON, for example curl without an Accept.
	for _, accept := range []string{"*/*", "", "text/html"} {
		a := r.do("POST", "/entries/"+id+"/retry", accept, `{"why":"x"}`)
		a.want(t, "JSON with Accept "+accept, 409, "no-outcome")
		if a := r.do("POST", "/entries/"+id+"/retry", accept, "why=x"); !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("a form with Accept %q gets %s", accept, a.header.Get("Content-Type"))
		}
	}
}
