package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

// lines returns the changes that tail printed, as "change ID".
func lines(out string) (changes []string) {
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 2 {
			changes = append(changes, f[1]+" "+f[2])
		}
	}
	return changes
}

// tail prints what changes between two polls of a board.
func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t)
		one, oneID := r.entry(async.StartOptions{})
		time.Sleep(time.Millisecond) // activities are distinguished by their times
		_, twoID := r.entry(async.StartOptions{})
		three := make(chan string, 1)
		time.AfterFunc(1500*time.Millisecond, func() { // between the two polls
			if err := one.Abandon(t.Context()); err != nil {
				t.Error(err)
			}
			_, id := r.entry(async.StartOptions{})
			three <- id
		})
		x := r.latchkey("tail", "all", "-interval", "2s", "-polls", "2")
		x.want(t, "tail", 0, "ended, abandoned")
		want := []string{"new " + oneID, "new " + twoID}
		slices.Sort(want)
		want = append(want, "changed "+oneID, "new "+<-three)
		got := lines(x.out)
		slices.Sort(want[2:]) // changes come in the order of the IDs
		if len(got) == 4 {
			slices.Sort(got[2:])
		}
		if !slices.Equal(got, want) {
			t.Errorf("the changes are %q, want %q", got, want)
		}
	})
}

// An entry that no longer belongs to the list leaves it. With -o json, each
// change is a document on a line.
func TestTailJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t)
		c, id := r.entry(async.StartOptions{Labels: map[string]string{"team": "red"}})
		time.AfterFunc(time.Second, func() {
			if err := c.Abandon(t.Context()); err != nil {
				t.Error(err)
			}
		})
		x := r.latchkey("tail", "waiting", "-o", "json", "-interval", "2s", "-polls", "2")
		x.want(t, "tail", 0)
		var got []string
		for line := range strings.Lines(x.out) {
			var v struct {
				Change string
				At     time.Time
				Entry  entry
			}
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%v: %q", err, line)
			}
			if v.Entry.ID != id || v.At.IsZero() || v.Entry.Labels["team"] != "red" {
				t.Errorf("the change is %+v", v)
			}
			got = append(got, v.Change)
		}
		if !slices.Equal(got, []string{"new", "left"}) {
			t.Errorf("the changes are %q, want new and left", got)
		}
	})
}

// tail continues when the board is unavailable, and later reports the changes
// of that time. tail ends at an error that a repeat would not cure.
func TestTailErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t)
		_, one := r.entry(async.StartOptions{})
		var requests atomic.Int64
		two := ""
		board := r.handler
		r.transport = inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			switch requests.Add(1) {
			case 2:
				_, two = r.entry(async.StartOptions{})
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(`{"status":503,"code":"unavailable","detail":"The store is away."}`))
			case 3:
				w.WriteHeader(http.StatusBadGateway)
			case 5:
				w.WriteHeader(http.StatusForbidden)
			default:
				board.ServeHTTP(w, q)
			}
		}))
		x := r.latchkey("tail", "all", "-polls", "4")
		x.want(t, "tail", 0, "The store is away. (unavailable)", "502")
		if got, want := lines(x.out), []string{"new " + one, "new " + two}; !slices.Equal(got, want) {
			t.Errorf("the changes are %q, want %q", got, want)
		}
		r.latchkey("tail", "all").want(t, "a board that refuses", 3, "403")
		requests.Store(1)
		r.latchkey("tail", "all", "-polls", "1").want(t, "a last poll that fails", 1, "The store is away.")
	})
}

// Ctrl-C ends tail with 0, between two polls and within one.
func TestTailInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t)
		_, id := r.entry(async.StartOptions{})
		for name, after := range map[string]time.Duration{"between polls": 8 * time.Second, "within a poll": 0} {
			ctx, cancel := context.WithCancel(t.Context())
			r.interrupt = ctx
			if after > 0 {
				time.AfterFunc(after, cancel)
			} else {
				r.transport = inMemory(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
			}
			begun := time.Now()
			x := r.latchkey("tail", "all")
			if took := time.Since(begun); x.code != exitDone || x.err != "" || took != after || (x.out == "") != (after == 0) || after > 0 && !strings.Contains(x.out, id) {
				t.Errorf("%s: %+v after %v, want 0 after %v", name, x, took, after)
			}
			cancel()
			r.transport = inMemory(t, r.handler)
		}
	})
}

// paged is a board with one list of numbered entries.
type paged struct {
	mu        sync.Mutex
	entries   []int
	size      int // number of entries that a page looks at
	unordered bool
	pages     int // served pages
}

// change changes the list between two polls.
func (p *paged) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *paged) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages++
	from := 0
	if after := q.URL.Query().Get("after"); after != "" {
		_, _ = fmt.Sscanf(after, "e%d", &from)
		from++
	}
	out := page{Ordered: !p.unordered, Looked: p.size}
	for _, n := range p.entries {
		if n >= from && n < from+p.size {
			out.Entries = append(out.Entries, entry{ID: fmt.Sprintf("e%04d", n), State: "waiting"})
		}
	}
	if last := p.entries[len(p.entries)-1]; from+p.size <= last {
		out.Next = fmt.Sprintf("e%04d", from+p.size-1)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// tail follows the pages of a list, which may be empty, up to a limit. If a
// poll has not read the place of an entry, tail reports the entry neither as
// new nor as left.
func TestTailFollowsPages(t *testing.T) {
	const all = 10 * tailPages // number of places that one poll reads, with pages of ten
	for name, x := range map[string]struct {
		before, after []int
		unordered     bool
		want          []string // of the second poll
		pages         int
		text          string
	}{
		"an entry on the last page leaves": {[]int{1, 57, 58}, []int{1, 58, 60}, false, []string{"new e0060", "left e0057"}, 6 + 7, ""},
		"empty pages":                      {[]int{1, 150}, []int{1, 150}, false, nil, 16 + 16, ""},
		"beyond the last page that is read": {
			[]int{5, 6, all + 7, all + 8}, []int{6, 7, all + 8, all + 9}, false,
			[]string{"new e0007", "left e0005"}, 2 * tailPages, "too long for tail",
		},
		"the list becomes shorter":     {[]int{5, all + 7, all + 8}, []int{5, all - 2}, false, []string{"new e0198"}, 2 * tailPages, "too long for tail"},
		"the list becomes longer":      {[]int{5, all - 2}, []int{5, all - 2, all + 7}, false, nil, 2 * tailPages, "too long for tail"},
		"a store with its own order":   {[]int{5, 6, all + 7}, []int{6, 7, all + 7}, true, nil, 2 * tailPages, "too long for tail"},
		"its own order, but all pages": {[]int{5, 6}, []int{6, 7}, true, []string{"new e0007", "left e0005"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigInMemory(t)
				b := &paged{entries: x.before, size: 10, unordered: x.unordered}
				r.transport = inMemory(t, b)
				first := len(lines(r.latchkey("tail", "all", "-polls", "1").out))
				b.change(func() { b.pages = 0 })
				time.AfterFunc(time.Second, func() { b.change(func() { b.entries = x.after }) })
				out := r.latchkey("tail", "all", "-polls", "2")
				out.want(t, "tail", 0, x.text)
				if got := lines(out.out); !slices.Equal(got[first:], x.want) {
					t.Errorf("after the change: %q, want %q", got[first:], x.want)
				}
				b.change(func() {
					if b.pages != x.pages {
						t.Errorf("%d pages were read, want %d", b.pages, x.pages)
					}
				})
				if x.text == "" && out.err != "" {
					t.Errorf("a warning: %s", out.err)
				}
			})
		})
	}
}

// When tail reads a place again that it did not read for a while, an entry that
// is still there is not new. An entry that is gone has left.
func TestTailRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t)
		b := &paged{entries: []int{5, 150, 151}, size: 10}
		r.transport = inMemory(t, b)
		// The second poll reads 100 places, and the third one reads all.
		time.AfterFunc(time.Second, func() { b.change(func() { b.size = 5 }) })
		time.AfterFunc(6*time.Second, func() { b.change(func() { b.entries, b.size = []int{5, 8, 151}, 10 }) })
		x := r.latchkey("tail", "all", "-polls", "3")
		x.want(t, "tail", 0, "too long for tail")
		if got := lines(x.out); !slices.Equal(got, []string{"new e0005", "new e0150", "new e0151", "new e0008", "left e0150"}) {
			t.Errorf("the changes are %q", got)
		}
	})
}
