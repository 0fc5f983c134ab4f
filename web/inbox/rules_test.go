package inbox_test

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/inbox"
)

// TestRules tests each combination of a rule, a way to use the inbox, and
// reading or acting.
func TestRules(t *testing.T) {
	dinner := inbox.Request{Title: "Dinner", For: []string{"finance"}, NotBy: []string{"eve"}}
	for _, rule := range []struct {
		name      string
		request   inbox.Request
		before    func(r *rig, p posted)
		options   func(o *inbox.Options)
		person    string
		read, act string
	}{
		{name: "a member of the group", request: dinner, person: "ada", read: "ok", act: "ok"},
		{name: "named by ID", request: inbox.Request{Title: "Dinner", For: []string{"cyd"}}, person: "cyd", read: "ok", act: "ok"},
		{name: "not asked", request: dinner, person: "cyd", read: "forbidden", act: "forbidden"},
		{name: "barred by ID", request: dinner, person: "eve", read: "ok", act: "forbidden"},
		{name: "barred by group", request: inbox.Request{Title: "Dinner", For: []string{"bob"}, NotBy: []string{"managers"}}, person: "bob", read: "ok", act: "forbidden"},
		{name: "removed from the group meanwhile", request: dinner, before: func(r *rig, p posted) { r.regroup("ada", "sales") }, person: "ada", read: "forbidden", act: "forbidden"},
		{name: "voted, and removed from the group since", request: inbox.Request{Title: "Dinner", For: []string{"finance"}, Needs: 2}, before: func(r *rig, p posted) {
			r.decide(p, "ada", yes())
			r.regroup("ada")
		}, person: "ada", read: "ok", act: "forbidden"},
		{name: "May refuses", request: dinner, options: func(o *inbox.Options) {
			o.May = func(context.Context, inbox.Person, inbox.Request, async.Info) error {
				return errors.New("s3cret limit")
			}
		}, person: "ada", read: "forbidden", act: "forbidden"},
		{name: "claimed by another", request: dinner, before: func(r *rig, p posted) { r.decide(p, "bob", url.Values{"_do": {"claim"}}) }, person: "ada", read: "ok", act: "conflict"},
		{name: "claimed, and released", request: dinner, before: func(r *rig, p posted) {
			r.decide(p, "bob", url.Values{"_do": {"claim"}})
			r.decide(p, "bob", url.Values{"_do": {"release"}})
		}, person: "ada", read: "ok", act: "ok"},
		{name: "passed on", request: dinner, before: func(r *rig, p posted) { r.decide(p, "ada", url.Values{"_do": {"delegate"}, "_to": {"cyd"}}) }, person: "ada", read: "ok", act: "conflict"},
		{name: "passed on to", request: dinner, before: func(r *rig, p posted) { r.decide(p, "ada", url.Values{"_do": {"delegate"}, "_to": {"cyd"}}) }, person: "cyd", read: "ok", act: "ok"},
		{name: "passed on, and back", request: dinner, before: func(r *rig, p posted) {
			r.decide(p, "ada", url.Values{"_do": {"delegate"}, "_to": {"cyd"}})
			r.decide(p, "cyd", url.Values{"_do": {"delegate"}, "_to": {"ada"}})
		}, person: "ada", read: "ok", act: "ok"},
		{name: "passed on, and on", request: dinner, before: func(r *rig, p posted) {
			r.decide(p, "ada", url.Values{"_do": {"delegate"}, "_to": {"cyd"}})
			r.decide(p, "cyd", url.Values{"_do": {"delegate"}, "_to": {"bob"}})
		}, person: "cyd", read: "forbidden", act: "forbidden"},
		{name: "decided by another", request: dinner, before: func(r *rig, p posted) { r.decide(p, "bob", no()) }, person: "ada", read: "ok", act: "conflict"},
		{name: "decided, and not asked", request: dinner, before: func(r *rig, p posted) { r.decide(p, "bob", yes()) }, person: "cyd", read: "forbidden", act: "forbidden"},
		{name: "abandoned", request: dinner, before: func(r *rig, p posted) {
			if err := r.callback(p).Abandon(r.t.Context()); err != nil {
				r.t.Error(err)
			}
		}, person: "ada", read: "ok", act: "410"},
		{name: "overdue", request: inbox.Request{Title: "Dinner", For: []string{"finance"}, Due: time.Now().Add(-time.Hour)}, person: "ada", read: "ok", act: "ok"},
	} {
		for _, way := range ways {
			t.Run(rule.name+" by "+way.name, func(t *testing.T) {
				var change []func(*inbox.Options)
				if rule.options != nil {
					change = append(change, rule.options)
				}
				r := newRig(t, change...)
				p := r.post(rule.request)
				if rule.before != nil {
					rule.before(r, p)
				}
				settled := r.callback(p).Info().State
				if way.read != nil {
					if got := way.read(r, p, rule.person); got != rule.read {
						t.Errorf("reading is %s, want %s", got, rule.read)
					}
				}
				if got := way.act(r, p, rule.person, yes()); got != rule.act {
					t.Errorf("acting is %s, want %s", got, rule.act)
				}
				want := settled
				if rule.act == "ok" {
					want = async.Closed
				}
				r.wantState(p, want)
			})
		}
	}
}

// decide acts through an adapter.
func (r *rig) decide(p posted, person string, form url.Values) {
	r.t.Helper()
	who, err := r.lookup(r.t.Context(), person)
	if err == nil {
		err = r.box.Decide(r.t.Context(), p.path, who, form)
	}
	if err != nil {
		r.t.Fatalf("%s: %v", person, err)
	}
}

// TestLinksOnlyAnswer: a link allows only an answer. Other actions are refused
// for a link, and work for a person who signed in.
func TestLinksOnlyAnswer(t *testing.T) {
	for _, form := range []url.Values{
		{"_do": {"claim"}}, {"_do": {"delegate"}, "_to": {"bob"}}, {"_do": {"comment"}, "_comment": {"hello"}},
	} {
		for _, way := range ways {
			r := newRig(t)
			p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
			want := "ok"
			if way.name == "link" {
				want = "conflict"
			}
			if got := way.act(r, p, "ada", form); got != want {
				t.Errorf("%v by %s: %s, want %s", form, way.name, got, want)
			}
			if got := way.act(r, p, "ada", url.Values{"_do": {"release"}}); way.name != "link" && form.Get("_do") != "claim" && got != "conflict" {
				t.Errorf("release of what isn't claimed by %s: %s, want conflict", way.name, got)
			}
			if got := way.act(r, p, "ada", url.Values{"_do": {"approve"}}); got != "conflict" {
				t.Errorf("an unknown action by %s: %s, want conflict", way.name, got)
			}
		}
	}
}

// TestDelegationRefused: a request cannot be delegated to a person who may not
// decide.
func TestDelegationRefused(t *testing.T) {
	for _, way := range ways {
		if way.name == "link" {
			continue
		}
		for to, want := range map[string]string{"eve": "forbidden", "ada": "conflict", "": "conflict", "nobody": "conflict", " cyd ": "ok", "bob": "forbidden"} {
			r := newRig(t)
			p := r.post(inbox.Request{Title: "Dinner", For: []string{"ada"}, NotBy: []string{"eve", "managers"}})
			if got := way.act(r, p, "ada", url.Values{"_do": {"delegate"}, "_to": {to}}); got != want {
				t.Errorf("to %q by %s: %s, want %s", to, way.name, got, want)
			}
		}
	}
}

// TestEmptyForIsForLinks: without For, only the holder of a link decides.
func TestEmptyForIsForLinks(t *testing.T) {
	for _, way := range ways {
		r := newRig(t)
		p := r.post(inbox.Request{Title: "Dinner"})
		want := "forbidden"
		if way.name == "link" {
			want = "ok"
		}
		if got := way.act(r, p, "ada", yes()); got != want {
			t.Errorf("by %s: %s, want %s", way.name, got, want)
		}
	}
}

// TestOnePersonCountsOnce: a person who uses a link and also signs in counts as
// one person.
func TestOnePersonCountsOnce(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}, Needs: 2})
	for _, way := range ways {
		if got := way.act(r, p, "ada", yes()); got != "ok" {
			t.Errorf("by %s: %s", way.name, got)
		}
		r.wantState(p, async.Waiting)
	}
	r.decide(p, "bob", yes())
	r.wantState(p, async.Closed)
	if d := r.result(); len(d.Decided) != 2 || !d.Approved {
		t.Errorf("the result is %+v, want it approved by two people", d)
	}
}

// TestRulesAreJudgedInTheWrite: an action of another person between the page
// and the answer counts. In this test, that action happens during the call of
// Options.May.
func TestRulesAreJudgedInTheWrite(t *testing.T) {
	for name, meanwhile := range map[string]url.Values{
		"claimed":   {"_do": {"claim"}},
		"passed on": {"_do": {"delegate"}, "_to": {"cyd"}},
	} {
		for _, way := range ways {
			var r *rig
			var p posted
			between := func() {}
			r = newRig(t, func(o *inbox.Options) {
				o.May = func(context.Context, inbox.Person, inbox.Request, async.Info) error {
					act := between
					between = func() {}
					act()
					return nil
				}
			})
			p = r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}})
			between = func() {
				who := "bob"
				if name == "passed on" {
					who = "ada" // in another tab
				}
				r.decide(p, who, meanwhile)
			}
			if got := way.act(r, p, "ada", yes()); got != "conflict" {
				t.Errorf("%s meanwhile, by %s: %s, want conflict", name, way.name, got)
			}
			if n := len(r.callback(p).Notes()); n != 2 {
				t.Errorf("%s meanwhile, by %s: %d notes, want the request and what happened meanwhile", name, way.name, n)
			}
			r.wantState(p, async.Waiting)
		}
	}
}

// TestVotesThatDiffer: the result and the page say which votes agree with the
// decision.
func TestVotesThatDiffer(t *testing.T) {
	r := newRig(t)
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"finance"}, Needs: 2})
	r.decide(p, "ada", yes())
	r.decide(p, "bob", no())
	if w := r.send("GET", "/"+p.path, "ada", ""); strings.Contains(w.Body.String(), "Different</span>") {
		t.Errorf("a page shows who differs before the decision:\n%s", w.Body)
	}
	r.decide(p, "eve", yes())
	agrees := make(map[string]bool)
	for _, v := range r.result().Decided {
		agrees[v.By.ID] = v.Agrees
	}
	if want := map[string]bool{"ada": true, "bob": false, "eve": true}; !maps.Equal(agrees, want) {
		t.Errorf("by the result the votes agree as %v, want %v", agrees, want)
	}
	page := r.send("GET", "/"+p.path, "ada", "").Body.String()
	if d, same := strings.Count(page, "Different</span>"), strings.Count(page, "Decided</span>"); d != 1 || same != 2 {
		t.Errorf("the page shows %d votes that differ and %d that decided, want 1 and 2:\n%s", d, same, page)
	}
}
