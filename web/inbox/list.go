package inbox

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

const (
	maxLook  = 10_000 // entries that a list reads
	maxList  = 200    // requests that it shows
	pageSize = 500
)

// listView is the page of a person.
type listView struct {
	page
	Waiting, Answered []entryView
	More              bool // not all entries were read or shown
}

// entryView is a request in a list.
type entryView struct {
	Item, Title string
	Posted, Due time.Time
	Overdue     bool
	Cancelled   bool
	Claimed     string
	Progress    string
}

// list shows the requests that wait for the person: by due date, then by age.
func (x *Inbox) list(w http.ResponseWriter, r *http.Request, p Person) {
	v := listView{page: page{Root: root(r), Title: "Waiting for you", Person: p}}
	more, err := x.each(r.Context(), func(c async.Callback) {
		j := read(c.Notes())
		if j.request == nil || x.forms[c.Info().ResultType] == nil {
			return
		}
		may := x.may(r.Context(), c, p, j)
		if _, voted := j.voteOf(p); voted && j.allows(p, look, nil, may) == nil {
			v.Answered = append(v.Answered, entryOf(c, &j))
			return
		}
		// Requests that others have claimed are shown too, because the person can
		// take them over.
		if j.allows(p, comment, nil, may) == nil || j.allows(p, vote, nil, may) == nil {
			v.Waiting = append(v.Waiting, entryOf(c, &j))
		}
	})
	if err != nil {
		x.log.WarnContext(r.Context(), "inbox: the list is not complete", slog.Any("error", err))
		more = true
	}
	for _, list := range []*[]entryView{&v.Waiting, &v.Answered} {
		slices.SortFunc(*list, func(a, b entryView) int {
			return cmp.Or(dueFirst(a, b), a.Posted.Compare(b.Posted), cmp.Compare(a.Item, b.Item))
		})
		if len(*list) > maxList {
			*list, more = (*list)[:maxList], true
		}
	}
	v.More = more
	if wantsJSON(r) {
		x.reply(w, http.StatusOK, v.json())
		return
	}
	x.show(w, http.StatusOK, "list", v)
}

// dueFirst orders by due date. Requests without one come last.
func dueFirst(a, b entryView) int {
	switch {
	case a.Due.IsZero() && b.Due.IsZero():
		return 0
	case a.Due.IsZero():
		return 1
	case b.Due.IsZero():
		return -1
	default:
		return a.Due.Compare(b.Due)
	}
}

func entryOf(c async.Callback, j *journal) entryView {
	i := c.Info()
	e := entryView{
		Item: itemOf(c), Title: j.request.Title, Posted: j.posted, Due: j.request.Due,
		Overdue: !j.request.Due.IsZero() && time.Now().After(j.request.Due), Cancelled: i.CancelRequested,
	}
	if j.holder != nil {
		e.Claimed = j.holder.Person.label()
	}
	if n := j.request.needs(); n > 1 {
		e.Progress = fmt.Sprintf("%s, needs %d", answers(len(j.votes)), n)
	}
	return e
}

// each calls f for the waiting callbacks. It reports whether there may be more.
func (x *Inbox) each(ctx context.Context, f func(c async.Callback)) (more bool, err error) {
	q := async.Query{State: async.Waiting, Limit: pageSize, Look: maxLook}
	for {
		page, err := x.hub.Page(ctx, q)
		if err != nil {
			return true, err
		}
		for _, c := range page.Callbacks {
			f(c)
		}
		if page.Next == "" {
			return page.Skipped > 0, nil
		}
		if q.After, q.Look = page.Next, q.Look-page.Looked; q.Look < 1 {
			return true, nil
		}
	}
}

// entryJSON is a request in a list for programs.
type entryJSON struct {
	Item            string    `json:"item"`
	Title           string    `json:"title"`
	Posted          time.Time `json:"posted"`
	Due             time.Time `json:"due,omitzero"`
	Answered        bool      `json:"answered"`
	CancelRequested bool      `json:"cancelRequested"`
}

func (v listView) json() any {
	out := struct {
		Requests []entryJSON `json:"requests"`
		More     bool        `json:"more"`
	}{[]entryJSON{}, v.More}
	for n, list := range [][]entryView{v.Waiting, v.Answered} {
		for _, e := range list {
			out.Requests = append(out.Requests, entryJSON{e.Item, e.Title, e.Posted, e.Due, n == 1, e.Cancelled})
		}
	}
	return out
}
