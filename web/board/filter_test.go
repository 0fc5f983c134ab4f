package board_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// typed is a fake of Temporal that finds activities of a type.
type typed struct {
	finding
	activity string
}

func (f typed) Find(ctx context.Context, t completer.Target) (completer.Found, error) {
	found, err := f.finding.Find(ctx, t)
	found.Target.ActivityType = f.activity
	return found, err
}

// typedHub returns a hub that adopts activities of a type.
func (r *rig) typedHub(activity string) *async.Hub {
	return r.other(func(o *async.Options) { o.Completer = typed{finding{r.temporal, time.Hour}, activity} })
}

type Receipt struct{ Number string }

func (Receipt) ResultType() string { return "expenses.Receipt" }

// ids returns the entries of a list in the order of the list.
func (r *rig) ids(path string) string {
	r.t.Helper()
	a := r.get(path)
	if a.status != 200 {
		r.t.Errorf("%s: %d\n%s", path, a.status, a.body)
	}
	var list []string
	for _, e := range a.Entries {
		list = append(list, e.ID)
	}
	return strings.Join(list, " ")
}

// Each filter selects the entry that has the value in the filter's own field.
// No two fields of the entry have the same value.
func TestEachFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		adopt := func(p interface{ Info() async.Info }, err error) string {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return p.Info().ID
		}
		old := adopt(async.Adopt[Receipt](t.Context(), r.typedHub("Pay"), async.AdoptOptions{
			Namespace: "payments", WorkflowID: "invoice-7", ActivityID: "5", Key: "order-7", Labels: map[string]string{"team": "red", "size": "big"},
		}))
		time.Sleep(24 * time.Hour)
		middle := adopt(async.Adopt[Decision](t.Context(), r.typedHub("Approve"), async.AdoptOptions{
			Namespace: "people", WorkflowID: "expense-8", ActivityID: "6", Key: "order-8", Labels: map[string]string{"team": "red", "size": "small"},
		}))
		time.Sleep(47 * time.Hour)
		young := adopt(async.Adopt[Decision](t.Context(), r.typedHub("Approve"), async.AdoptOptions{
			Namespace: "people", WorkflowID: "expense-9", ActivityID: "7", Labels: map[string]string{"team": "blue", "size": "big"},
		}))
		if got := r.ids("/all?age=3d"); got != "" {
			t.Errorf("after 71 hours, age=3d selects %s", got)
		}
		time.Sleep(time.Hour)
		all := map[string]bool{old: true, middle: true, young: true}
		for _, x := range []struct {
			filter string // parameter=value, with & between several
			want   []string
		}{
			{"type=Pay", []string{old}},
			{"type=Approve", []string{middle, young}},
			{"workflow=invoice-7", []string{old}},
			{"workflow=expense-8", []string{middle}},
			{"key=order-7", []string{old}},
			{"key=order-8", []string{middle}},
			{"namespace=payments", []string{old}},
			{"namespace=people", []string{middle, young}},
			{"result=expenses.Receipt", []string{old}},
			{"result=expenses.Decision", []string{middle, young}},
			{"label=team%3Dred&label=size%3Dbig", []string{old}},
			{"label=team%3Dred", []string{old, middle}},
			{"label=size%3Dbig", []string{old, young}},
			{"label=team%3Dblue&label=size%3Dsmall", nil},
			{"age=3d", []string{old}},
			{"age=72h", []string{old}},
			{"age=72h2m", nil},
			{"age=4d", nil},
			{"age=2d", []string{old, middle}},
			{"age=0s", []string{old, middle, young}},
			{"state=waiting", []string{old, middle, young}},
			{"state=waiting&type=Approve&key=order-8&namespace=people&result=expenses.Decision&workflow=expense-8&age=1d&label=team%3Dred", []string{middle}},
		} {
			got := make(map[string]bool)
			for id := range strings.FieldsSeq(r.ids("/all?" + x.filter)) {
				got[id] = true
			}
			if len(got) != len(x.want) {
				t.Errorf("%s selects %d entries, want %d", x.filter, len(got), len(x.want))
			}
			for _, id := range x.want {
				if !got[id] {
					t.Errorf("%s does not select %v", x.filter, r.info(id))
				}
			}
			page := r.page("/all?" + x.filter)
			for id := range all {
				if strings.Contains(page.body, "entries/"+id) != got[id] {
					t.Errorf("%s: the page and the JSON differ in %s", x.filter, id)
				}
			}
		}
		// Each filter matches only its own field.
		values := map[string]string{"type": "Pay", "workflow": "invoice-7", "key": "order-7", "namespace": "payments", "result": "expenses.Receipt"}
		for name := range values {
			for other, value := range values {
				if got := r.ids("/all?" + url.Values{name: {value}}.Encode()); (got == old) != (name == other) || got != "" && got != old {
					t.Errorf("%s=%s selects %q", name, value, got)
				}
			}
		}
	})
}

// Waiting lists the entries in the order in which their activities were
// scheduled, however they were started and answered.
func TestOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var want []string
		for n := range 5 {
			_, id := r.entry(nil)
			want = append(want, id)
			time.Sleep(time.Duration(n+1) * time.Minute)
		}
		ended, _ := r.entry(nil)
		if err := ended.Abandon(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.ids("/waiting"); got != strings.Join(want, " ") {
			t.Errorf("/waiting has %s, want %s", got, strings.Join(want, " "))
		}
		if got := r.ids("/waiting?limit=2"); got != strings.Join(want[:2], " ") {
			t.Errorf("the first page has %s, want %s", got, strings.Join(want[:2], " "))
		}
		body, last := r.page("/waiting").body, 0
		for _, id := range want {
			at := strings.Index(body, "entries/"+id)
			if at < last {
				t.Errorf("the page has %s before an older entry", id)
			}
			last = at
		}
	})
}
