package inbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

// Limits of the work for one page of a list.
const (
	maxRows   = 50     // number of requests on a page
	maxLook   = 2_000  // number of entries that a page reads
	chunk     = 256    // number of entries that are read at a time
	maxStored = 10_000 // number of entries in a store that has no pages
)

// listView is a page of the requests that wait for the person.
type listView struct {
	page
	Waiting, Answered []entryView
	Next              string // where the next page begins; empty on the last page
	Later             bool   // the page is not the first one
	Incomplete        bool   // some entries could not be read
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

// list shows the requests that wait for the person: by due date, then by age. A
// page reads a limited part of the store, in the order in which activities were
// scheduled, and links to the next one. The order by due date holds within a
// page.
func (x *Inbox) list(w http.ResponseWriter, r *http.Request, p Person) {
	after := r.URL.Query().Get("after")
	v := listView{page: page{Root: root(r), Title: "Waiting for you", Person: p}, Later: after != ""}
	var err error
	v.Next, v.Incomplete, err = x.each(r.Context(), after, func(c async.Callback) (full bool) {
		x.enter(r.Context(), &v, c, p)
		return len(v.Waiting)+len(v.Answered) == maxRows
	})
	switch {
	case errors.Is(err, async.ErrInvalidArgument): // the address does not belong to a page
		x.message(w, r, p, async.ErrNotFound)
		return
	case err != nil:
		x.message(w, r, p, err)
		return
	}
	for _, list := range []*[]entryView{&v.Waiting, &v.Answered} {
		slices.SortFunc(*list, func(a, b entryView) int {
			return cmp.Or(dueFirst(a, b), a.Posted.Compare(b.Posted), cmp.Compare(a.Item, b.Item))
		})
	}
	if wantsJSON(r) {
		x.reply(w, http.StatusOK, v.json())
		return
	}
	x.show(w, http.StatusOK, "list", v)
}

// enter adds a request to the list if it is for the person. enter calls
// Options.May only for such requests.
func (x *Inbox) enter(ctx context.Context, v *listView, c async.Callback, p Person) {
	if x.forms[c.Info().ResultType] == nil {
		return
	}
	j := read(c.Notes())
	if j.allows(p, look, nil, nil) != nil {
		return
	}
	may := x.may(ctx, c, p, j)
	_, voted := j.voteOf(p)
	switch {
	case voted && j.allows(p, look, nil, may) == nil:
		v.Answered = append(v.Answered, entryOf(c, &j))
	case voted:
	case j.allows(p, comment, nil, may) == nil, j.allows(p, vote, nil, may) == nil:
		// Requests that others have claimed are shown too, because the person can
		// take them over.
		v.Waiting = append(v.Waiting, entryOf(c, &j))
	}
}

// dueFirst orders by due date. Requests without a due date come last.
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

// each calls f for waiting callbacks, until f returns true or the work for a
// page is done. next is where the next page begins; it is empty at the end.
func (x *Inbox) each(ctx context.Context, after string, f func(c async.Callback) (full bool)) (next string, incomplete bool, err error) {
	q := async.Query{State: async.Waiting, Limit: chunk, Look: maxLook, After: after}
	for q.Look > 0 {
		page, err := x.hub.Page(ctx, q)
		whole := errors.Is(err, errors.ErrUnsupported)
		if whole { // the store has no pages: hub.Page reads all entries, or returns an error if there are too many
			page, err = x.hub.Page(ctx, async.Query{State: async.Waiting, Limit: chunk, Look: maxStored, After: after})
		}
		if err != nil {
			return "", false, err
		}
		incomplete = incomplete || page.Skipped > 0
		for n, c := range page.Callbacks {
			if last := n == len(page.Callbacks)-1; f(c) && !(last && page.Next == "") {
				return c.Info().ID, incomplete, nil
			}
		}
		if next = page.Next; next == "" || whole {
			break
		}
		q.After, q.Look = next, q.Look-page.Looked
	}
	return next, incomplete, nil
}

// entryJSON is a request in a list, as programs see it.
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
		Requests   []entryJSON `json:"requests"`
		Next       string      `json:"next,omitempty"` // the query parameter "after" of the next page
		Incomplete bool        `json:"incomplete"`
	}{[]entryJSON{}, v.Next, v.Incomplete}
	for n, list := range [][]entryView{v.Waiting, v.Answered} {
		for _, e := range list {
			out.Requests = append(out.Requests, entryJSON{e.Item, e.Title, e.Posted, e.Due, n == 1, e.Cancelled})
		}
	}
	return out
}
