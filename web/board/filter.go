package board

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/async"
)

const (
	// lookFor is the maximum time that a page spends in the store. maxLook is
	// the maximum number of entries that it reads. A page makes no further call
	// if a call as long as the slowest one would end too late. If the page is not
	// full by then, it has a link that continues.
	lookFor = 120 * time.Millisecond
	maxLook = 10_000

	// lookStep is the number of entries after which find checks the time. This
	// is the number of entries of one call of the store.
	lookStep = 256

	pageLimit = 500 // of async.Query
)

// list is a page that lists entries.
type list struct {
	title, name string
	about       string
	state       async.State // zero: all
	attention   bool
}

// lists are the pages that list entries, by their addresses.
var lists = map[string]list{
	"":        {"Needs attention", "attention", "Entries for which something goes wrong: an answer that Temporal refuses or does not get, a hook that fails, a heartbeat that is missed, work that no hub does.", 0, true},
	"waiting": {"Waiting", "waiting", "Entries that wait for an answer, oldest first.", async.Waiting, false},
	"settled": {"Settled", "settled", "Entries with an accepted outcome that Temporal does not have yet.", async.Settled, false},
	"ended":   {"Ended", "ended", "Entries of activities that are over. They answer repeats until their retention is over.", async.Closed, false},
	"all":     {"All", "all", "Every entry of the store.", 0, false},
}

// filter is the selection that the parameters of a URL describe.
type filter struct {
	query  async.Query
	class  string
	age    time.Duration
	limit  int
	watch  bool
	labels []string   // as given
	values url.Values // all parameters, for links
}

// badFilter is an invalid parameter.
type badFilter struct{ detail string }

func (e *badFilter) Error() string { return "board: " + e.detail }

func bad(format string, args ...any) error { return &badFilter{fmt.Sprintf(format, args...)} }

// parameters are the parameters of a list. Empty parameters count as absent.
var parameters = []string{"state", "namespace", "type", "result", "workflow", "key", "label", "class", "age", "after", "limit", "watch"}

// readFilter reads the parameters of a list's address.
func readFilter(l list, raw string) (filter, error) {
	given, err := url.ParseQuery(raw)
	if err != nil {
		return filter{}, bad("The parameters of the address are damaged.")
	}
	f := filter{limit: 50, values: url.Values{}, query: async.Query{State: l.state}}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(parameters, name) {
			return filter{}, bad("The address has an unknown parameter. It may have: %s.", strings.Join(parameters, ", "))
		}
		values := slices.DeleteFunc(slices.Clone(given[name]), func(v string) bool { return v == "" })
		if len(values) > 1 && name != "label" {
			return filter{}, bad("The parameter %s must appear once.", name)
		}
		for _, v := range values {
			if !utf8.ValidString(v) || len(v) > 1000 {
				return filter{}, bad("The parameter %s must be UTF-8 of at most 1,000 bytes.", name)
			}
			if len(v) == callbackIDLen && startsWithTime(v) {
				return filter{}, bad("The parameter %s has the form of a callback ID. Do not send callback IDs to the board.", name)
			}
			if err := f.set(l, name, v); err != nil {
				return filter{}, err
			}
		}
		if len(values) > 0 {
			f.values[name] = values
		}
	}
	return f, nil
}

// states are the values of the parameter state.
var states = map[string]async.State{"waiting": async.Waiting, "settled": async.Settled, "ended": async.Closed, "closed": async.Closed}

// set applies one parameter to the filter.
func (f *filter) set(l list, name, v string) (err error) {
	switch name {
	case "state":
		state, ok := states[v]
		if !ok || l.state != 0 && l.state != state {
			return bad("The parameter state must be waiting, settled or ended, and is not for the lists of one state.")
		}
		f.query.State = state
	case "namespace":
		f.query.Namespace = v
	case "type":
		f.query.ActivityType = v
	case "result":
		f.query.ResultType = v
	case "workflow":
		f.query.WorkflowID = v
	case "key":
		f.query.Key = v
	case "class":
		f.class = v
	case "after":
		f.query.After = v
	case "label":
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return bad("The parameter label must be name=value.")
		}
		if f.query.Labels == nil {
			f.query.Labels = make(map[string]string)
		}
		f.query.Labels[name] = value
		f.labels = append(f.labels, v)
	case "age":
		if f.age, err = parseAge(v); err != nil {
			return bad("The parameter age must be a duration such as 90s, 10m, 2h or 3d.")
		}
	case "limit":
		if f.limit, err = strconv.Atoi(v); err != nil || f.limit < 1 || f.limit > pageLimit {
			return bad("The parameter limit must be between 1 and %d.", pageLimit)
		}
	case "watch":
		if f.watch = v == "1"; !f.watch {
			return bad("The parameter watch must be 1.")
		}
	}
	return nil
}

// parseAge is like time.ParseDuration, but also accepts days.
func parseAge(v string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 100_000 {
			return 0, errors.New("not a number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(v)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

// narrow reports whether the filter, apart from its list, selects only some
// entries.
func (f filter) narrow() bool {
	for name := range f.values {
		if name != "after" && name != "limit" && name != "watch" {
			return true
		}
	}
	return false
}

// selects reports whether the filter selects an entry that its query has selected.
func (f filter) selects(l list, i async.Info, now time.Time) bool {
	if f.class != "" && f.class != classOf(i) {
		return false
	}
	if f.age > 0 && (i.Since.IsZero() || now.Sub(i.Since) < f.age) {
		return false
	}
	return !l.attention || attention(i, now) != ""
}

// found is the content of a list's page.
type found struct {
	callbacks []async.Callback
	next      string
	looked    int
	skipped   int
	ordered   bool
}

// find returns the selected entries that the caller may view. lookFor and maxLook
// limit its work.
func (b *Board) find(ctx context.Context, r *http.Request, l list, f filter) (found, error) {
	begun, q := time.Now(), f.query
	out, slowest := found{ordered: true}, time.Duration(0)
	for {
		call := time.Now()
		q.Limit, q.Look = pageLimit, min(lookStep, maxLook-out.looked)
		if q.Labels == nil && !l.attention && f.class == "" && f.age == 0 {
			q.Limit = f.limit - len(out.callbacks)
		}
		p, err := b.hub.Page(ctx, q)
		if err != nil {
			return found{}, err
		}
		out.looked += p.Looked
		out.skipped += p.Skipped
		out.ordered = out.ordered && p.Ordered
		for n, c := range p.Callbacks {
			i := c.Info()
			if !f.selects(l, i, begun) {
				continue
			}
			if _, err := b.permit(ctx, r, View, c); err != nil {
				continue
			}
			out.callbacks = append(out.callbacks, c)
			if len(out.callbacks) == f.limit {
				if n < len(p.Callbacks)-1 || p.Next != "" {
					out.next = i.ID
				}
				return out, nil
			}
		}
		q.After = p.Next
		slowest = max(slowest, time.Since(call))
		if p.Next == "" || out.looked >= maxLook || time.Since(begun)+slowest >= lookFor {
			out.next = p.Next
			return out, nil
		}
	}
}
