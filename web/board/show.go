package board

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

// listView is a page of a list, as JSON.
type listView struct {
	List    string      `json:"list"`
	At      time.Time   `json:"at"`
	Entries []entryView `json:"entries"`
	Next    string      `json:"next,omitempty" jsonschema:"continues the list, as the parameter after"`
	Looked  int         `json:"looked" jsonschema:"entries that were looked at"`
	Skipped int         `json:"skipped" jsonschema:"entries that could not be read: damaged, or of a newer release"`
	Ordered bool        `json:"ordered" jsonschema:"whether the entries come in the order of their IDs"`
}

// showList serves a list.
func (b *Board) showList(x *exchange) {
	address := x.r.URL.Path
	l := lists[address[1:]]
	f, err := readFilter(l, x.r.URL.RawQuery)
	if err != nil {
		b.refuse(x, err)
		return
	}
	found, err := b.find(x.r.Context(), x.r, l, f)
	if err != nil {
		b.refuse(x, err)
		return
	}
	now := time.Now()
	v := listView{List: l.name, At: now.UTC(), Entries: []entryView{}, Next: found.next, Looked: found.looked, Skipped: found.skipped, Ordered: found.ordered}
	ticks := false
	for _, c := range found.callbacks {
		e, i := viewOf(c, now), c.Info()
		e.Bulk = verbs["retry"].useful(i) || verbs["abandon"].useful(i)
		ticks = ticks || e.Bulk
		v.Entries = append(v.Entries, e)
	}
	if x.json {
		x.replyJSON(http.StatusOK, v)
		return
	}
	p := listPage{page: x.page(l.title, address[1:]), List: l, View: v, Filter: f, Ticks: ticks && !f.watch}
	if f.watch {
		p.Refresh = 10
	}
	if v.Next != "" {
		p.NextLink = link2(f.values, "after", v.Next)
	}
	p.WatchLink = link2(f.values, "watch", "1")
	p.StopLink = link2(f.values, "watch", "")
	x.render(http.StatusOK, "list", p)
}

// link2 returns the parameters with one of them set or removed.
func link2(values url.Values, name, value string) string {
	q := url.Values{}
	maps.Copy(q, values)
	q.Set(name, value)
	if value == "" {
		q.Del(name)
	}
	return "?" + q.Encode()
}

// showEntry serves one entry.
func (b *Board) showEntry(x *exchange) {
	c, err := b.view(x)
	if err == nil && x.r.URL.RawQuery != "" {
		err = bad("The address of an entry has no parameters.")
	}
	if err != nil {
		b.refuse(x, err)
		return
	}
	v := b.whole(x, c)
	if x.json {
		x.replyJSON(http.StatusOK, v)
		return
	}
	x.render(http.StatusOK, "entry", entryPage{page: x.page(v.Name(), "entry"), Entry: v, Typed: url.Values{}})
}

// view finds the entry of the address, if the caller may view it.
func (b *Board) view(x *exchange) (async.Callback, error) {
	c, err := b.hub.Find(x.r.Context(), x.id)
	if err != nil {
		return async.Callback{}, err
	}
	if _, err := b.permit(x.r.Context(), x.r, View, c); err != nil {
		return async.Callback{}, err
	}
	return c, nil
}

// whole returns the view of one entry, with its journal and the permitted
// actions.
func (b *Board) whole(x *exchange, c async.Callback) entryView {
	i := c.Info()
	v := viewOf(c, time.Now())
	v.Journal, v.Links = b.journal(c), b.links(i)
	may := make(map[Action]bool)
	for _, a := range []Action{Retry, Abandon, Answer} {
		_, err := b.permit(x.r.Context(), x.r, a, c)
		may[a] = err == nil
	}
	t, known := b.types[i.ResultType]
	for _, name := range []string{"retry", "complete", "fail", "reject", "abandon"} {
		if verb := verbs[name]; may[verb.action] && verb.useful(i) && (name != "complete" || known) {
			v.Actions = append(v.Actions, name)
			if name == "complete" {
				v.Schema = t.Schema()
			}
		}
	}
	return v
}

// showFailed shows the entry again, with the typed text and the problems.
func (b *Board) showFailed(x *exchange, typed url.Values, why error) {
	c, err := b.view(x)
	if typed == nil || err != nil {
		b.refuse(x, why)
		return
	}
	p := problemOf(why)
	if p.Status == http.StatusServiceUnavailable {
		x.w.Header().Set("Retry-After", "5")
	}
	v := b.whole(x, c)
	typed.Del("round")
	x.render(p.Status, "entry", entryPage{page: x.page(v.Name(), "entry"), Entry: v, Typed: typed, Verb: x.verb, Problem: &p})
}

// countsView is a snapshot of the store, as JSON.
type countsView struct {
	At         time.Time   `json:"at"`
	Took       string      `json:"took"`
	Groups     []groupView `json:"groups"`
	Unreadable int         `json:"unreadable" jsonschema:"entries that could not be read: damaged, or of a newer release"`
}

type groupView struct {
	State        string     `json:"state"`
	ActivityType string     `json:"activityType,omitempty"`
	Class        string     `json:"class,omitempty" jsonschema:"what goes wrong; empty: nothing"`
	Entries      int        `json:"entries"`
	Oldest       *time.Time `json:"oldest,omitempty" jsonschema:"when the oldest came into its state"`
	Link         string     `json:"-"`
}

// showCounts serves the shared snapshot of the hub. The snapshot includes
// entries that the caller may not view: Authorize decides about the board as a
// whole.
func (b *Board) showCounts(x *exchange) {
	watch, other := x.r.URL.RawQuery == "watch=1", x.r.URL.RawQuery != ""
	if other && !watch {
		b.refuse(x, bad("The only parameter of the counts is watch=1."))
		return
	}
	s, err := b.hub.Stats(x.r.Context())
	if err != nil {
		b.refuse(x, err)
		return
	}
	v := countsView{At: s.At.UTC(), Took: s.Took.Round(time.Millisecond).String(), Groups: []groupView{}, Unreadable: s.Unreadable}
	for _, g := range s.Groups {
		v.Groups = append(v.Groups, groupView{State: stateName(g.State), ActivityType: g.ActivityType, Class: g.Class, Entries: g.Entries, Oldest: when(g.Oldest), Link: groupLink(g)})
	}
	if x.json {
		x.replyJSON(http.StatusOK, v)
		return
	}
	p := countsPage{page: x.page("Counts", "counts"), View: v}
	if watch {
		p.Refresh = 60
	}
	x.render(http.StatusOK, "counts", p)
}

// groupLink returns a link to the entries of a group.
func groupLink(g async.Group) string {
	address, q := map[async.State]string{async.Waiting: "waiting", async.Settled: "settled", async.Closed: "ended"}[g.State], url.Values{}
	if g.ActivityType != "" {
		q.Set("type", g.ActivityType)
	}
	if g.Class == async.ClassUnknownPump { // only the hub's own snapshot has that class
		q.Set("class", "late")
	} else if g.Class != "" {
		q.Set("class", g.Class)
	}
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	return address
}

// showResults shows the results of an action.
func (b *Board) showResults(x *exchange, verb string, lines []line) {
	x.render(http.StatusOK, "results", resultsPage{page: x.page(titles[verb], "results"), Lines: lines})
}

var titles = map[string]string{"retry": "Retry", "abandon": "Abandon", "complete": "Complete", "fail": "Fail", "reject": "Reject"}

// showProblem shows an error as a page.
func (b *Board) showProblem(x *exchange, p problem) {
	x.render(p.Status, "problem", problemPage{page: x.page(p.Title, "problem"), Problem: p})
}

// serveStyle serves the style sheet, which contains no secret.
func serveStyle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(style) // the caller may be gone
}

var errTemplate = errors.New("board: a template failed")
