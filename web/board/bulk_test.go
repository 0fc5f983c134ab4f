package board_test

import (
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
)

// A bulk action changes only the selected rows, and reports a result for each.
func TestBulk(t *testing.T) {
	r := newRig(t)
	_, one := r.entry(nil)
	_, two := r.entry(nil)
	callback, three := r.entry(nil)
	over, ended := r.entry(nil)
	if err := over.Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.page("/waiting").wantPage(t, "the rows", 200, `name="row" value="`+one+`.`, `name="why" required`)
	r.page("/ended").wantNoTick(t, ended)
	r.page("/all").wantNoTick(t, ended)
	a := r.do("POST", "/bulk", asPage, form("action", "abandon", "why", "test data", "row", one+"."+r.get("/entries/"+one).Round, "row", callback.ID()+"."))
	a.wantPage(t, "bulk", 200, "Done", "Not done", one)
	if strings.Contains(a.body, callback.ID()[:20]) {
		t.Error("the page repeats a callback ID")
	}
	b := r.do("POST", "/bulk", asJSON, `{"action":"abandon","why":"test data","rows":[{"id":"`+two+`"},{"id":"gone"}]}`)
	if len(b.Results) != 2 || !b.Results[0].OK || b.Results[0].State != "ended" || b.Results[1].OK || b.Results[1].Code != "not-found" {
		t.Errorf("the results are %+v", b.Results)
	}
	for id, want := range map[string]async.State{one: async.Closed, two: async.Closed, three: async.Waiting} {
		if i := r.info(id); i.State != want {
			t.Errorf("an entry is %v, want %v", i.State, want)
		}
	}
	many := `{"action":"abandon","why":"x","rows":[` + strings.TrimSuffix(strings.Repeat(`{"id":"`+three+`"},`, 101), ",") + `]}`
	r.do("POST", "/bulk", asJSON, many).want(t, "101 rows", 422, "rows")
	r.do("POST", "/bulk", asJSON, `{"action":"abandon","why":"x","rows":[]}`).want(t, "no rows", 422, "rows")
	r.do("POST", "/bulk", asJSON, `{"action":"complete","why":"x","rows":[{"id":"`+three+`"}]}`).want(t, "complete in bulk", 422, "action")
	r.do("POST", "/bulk", asJSON, `{"action":"abandon","why":"","rows":[{"id":"`+three+`"}]}`).want(t, "no reason", 422, "why")
	r.post("/bulk", "action", "abandon", "why", "x").wantPage(t, "nothing ticked", 422, "must be chosen")
	if i := r.info(three); i.State != async.Waiting {
		t.Errorf("the entry that was not ticked is %v", i.State)
	}
}

// wantNoTick checks that a list shows an entry that cannot be selected.
func (a response) wantNoTick(t *testing.T, id string) {
	t.Helper()
	if !strings.Contains(a.body, "entries/"+id) || strings.Contains(a.body, `value="`+id) {
		t.Errorf("the list lacks %s, or can select it, although no bulk action would change it:\n%s", id, a.body)
	}
}
