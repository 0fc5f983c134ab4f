package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// bulkBoard is a board that accepts a bulk action, except for some IDs.
type bulkBoard struct {
	t       *testing.T
	codes   map[string]string // of the IDs that fail
	batches [][]string
	away    int // the batch that gets 503, from 1; 0: none
}

func (b *bulkBoard) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var in struct {
		Action, Why string
		Rows        []struct{ ID string }
	}
	if err := json.NewDecoder(q.Body).Decode(&in); err != nil || q.URL.Path != "/ops/bulk" || in.Action != "retry" || in.Why != "mended" {
		b.t.Errorf("%s %s: %+v, %v", q.Method, q.URL, in, err)
	}
	var out struct {
		Results []line `json:"results"`
	}
	var ids []string
	for _, row := range in.Rows {
		ids = append(ids, row.ID)
		l := line{ID: row.ID, OK: true, Code: "ok", State: "settled"}
		if code := b.codes[row.ID]; code != "" {
			l = line{ID: "?", Code: code, Detail: "No."}
		}
		out.Results = append(out.Results, l)
	}
	b.batches = append(b.batches, ids)
	if len(b.batches) == b.away {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":503,"code":"unavailable","detail":"The store is away."}`))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// Many IDs are sent in batches that the board accepts. The exit code is that of
// the first failure.
func TestBatches(t *testing.T) {
	var ids []string
	for n := range 250 {
		ids = append(ids, fmt.Sprintf("entry-%03d", n))
	}
	in := strings.Join(ids, "\n")
	for name, x := range map[string]struct {
		codes   map[string]string
		away    int
		code    int
		batches int
		texts   []string
	}{
		"all done":               {nil, 0, 0, 3, []string{"entry-000", "entry-249"}},
		"the first is forbidden": {map[string]string{ids[137]: "forbidden", ids[201]: "not-found"}, 0, 3, 3, []string{"ID number 138: No. (forbidden)", "ID number 202: No. (not-found)", "entry-249"}},
		"the first is gone":      {map[string]string{ids[99]: "not-found", ids[100]: "forbidden"}, 0, 4, 3, []string{"ID number 100:", "ID number 101:"}},
		"the first is refused":   {map[string]string{ids[0]: "no-outcome", ids[1]: "unavailable"}, 0, 5, 3, nil},
		"the first is unknown":   {map[string]string{ids[0]: "unavailable", ids[1]: "no-outcome"}, 0, 1, 3, nil},
		"the board goes away":    {map[string]string{ids[0]: "no-outcome"}, 2, 1, 2, []string{"entry-099", "The store is away."}},
	} {
		r := newRigInMemory(t)
		b := &bulkBoard{t: t, codes: x.codes, away: x.away}
		r.transport = inMemory(t, b)
		r.with(nil, in, "retry", "-", "-why", "mended").want(t, name, x.code, x.texts...)
		if len(b.batches) != x.batches || len(b.batches[0]) != 100 || x.batches == 3 && !slices.Equal(slices.Concat(b.batches...), ids) {
			t.Errorf("%s: %d batches, the first of %d, want %d of 100", name, len(b.batches), len(b.batches[0]), x.batches)
		}
	}
	r := newRigInMemory(t)
	b := &bulkBoard{t: t}
	r.transport = inMemory(t, b)
	x := r.with(nil, in, "retry", "-", "-why", "mended", "-o", "json")
	x.want(t, "-o json", 0)
	documents := 0
	for d := json.NewDecoder(strings.NewReader(x.out)); d.More(); documents++ {
		var v struct{ Results []line }
		if err := d.Decode(&v); err != nil || len(v.Results) == 0 {
			t.Fatalf("-o json: %v, %+v", err, v)
		}
	}
	if documents != 3 {
		t.Errorf("-o json prints %d documents, want one for each batch", documents)
	}
}

// Each HTTP status has its exit code, whether the board sent it or a proxy
// before it.
func TestStatuses(t *testing.T) {
	r := newRigInMemory(t)
	for status, want := range map[int]int{
		400: 5, 401: 3, 403: 3, 404: 4, 405: 5, 408: 1, 409: 5, 410: 5, 413: 5, 422: 5, 429: 1, 500: 1, 501: 5, 502: 1, 503: 1, 504: 1,
	} {
		for media, body := range map[string]string{"application/problem+json": fmt.Sprintf(`{"status":%d,"code":"c","detail":"The board says so."}`, status), "text/html": "<p>proxy"} {
			r.transport = inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", media)
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}))
			text := fmt.Sprint(status)
			if media != "text/html" {
				text = "The board says so. (c)"
			}
			for _, args := range [][]string{{"list"}, {"stats"}, {"show", "x"}, {"retry", "x", "-why", "y"}, {"fail", "x", "-why", "y", "-message", "z"}} {
				r.latchkey(args...).want(t, fmt.Sprintf("%s, %d with %s", args[0], status, media), want, text)
			}
		}
	}
}
