package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// Each filter flag sends its value in its own parameter.
func TestFilterFlags(t *testing.T) {
	r := newRig(t)
	var path string
	var sent url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		path, sent = q.URL.Path, q.URL.Query()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"entries":[],"ordered":true}`))
	}))
	defer server.Close()
	r.url = server.URL + "/ops"
	for flag, parameter := range map[string]string{
		"-type": "type", "-namespace": "namespace", "-workflow": "workflow", "-result": "result", "-key": "key",
		"-class": "class", "-age": "age", "-state": "state", "-label": "label",
	} {
		value := "team=" + flag
		for _, command := range [][]string{{"list", "all"}, {"tail", "all", "-polls", "1"}} {
			path, sent = "", nil
			r.latchkey(append(command, flag, value)...).want(t, flag, 0)
			sent.Del("limit") // of tail
			if path != "/ops/all" || len(sent) != 1 || len(sent[parameter]) != 1 || sent.Get(parameter) != value {
				t.Errorf("%s %s %s sends %s?%s, want %s=%s", command[0], flag, value, path, sent.Encode(), parameter, value)
			}
		}
	}
	r.latchkey("list", "all", "-label", "a=1", "-label", "b=2", "-limit", "7", "-after", "x").want(t, "several", 0)
	if got := sent.Encode(); got != "after=x&label=a%3D1&label=b%3D2&limit=7" {
		t.Errorf("the parameters are %s", got)
	}
	for list, want := range map[string]string{"attention": "/ops/", "waiting": "/ops/waiting", "settled": "/ops/settled", "ended": "/ops/ended", "all": "/ops/all"} {
		if r.latchkey("list", list).want(t, list, 0); path != want || len(sent) != 0 {
			t.Errorf("list %s reads %s?%s, want %s", list, path, sent.Encode(), want)
		}
	}
}
