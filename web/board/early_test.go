package board_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/board"
)

// earlyEntry returns an entry that was answered before its activity came.
func earlyEntry(r *rig, key string) (p async.Pending[Decision], id string) {
	r.t.Helper()
	p, err := async.OpenKey[Decision](r.t.Context(), r.hub, key, async.KeyOptions{Namespace: "default", Early: time.Hour})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := p.Complete(r.t.Context(), Decision{Approved: true, By: secret}); err != nil {
		r.t.Fatal(err)
	}
	for _, e := range r.get("/all?key=" + key).Entries {
		id = e.ID
	}
	return p, id
}

// An entry that was answered before its activity came is shown as such. It can
// only be abandoned.
func TestEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, id := earlyEntry(r, "order-7")
		for _, path := range []string{"/settled", "/all"} {
			r.page(path).wantPage(t, path, 200, "entries/"+id)
		}
		r.page("/settled").wantPage(t, "the row", 200, "an early result", `<span class="chip">early</span>`, "order-7", "default")
		e := r.get("/entries/" + id)
		if e.State != "settled" || strings.Join(e.Actions, " ") != "abandon" || e.Class != "" {
			t.Errorf("the entry is %+v", e)
		}
		r.page("/entries/"+id).wantPage(t, "the entry", 200, "an early result", "A result was accepted. Temporal does not have it yet.", "expenses.<wbr>Decision", `action="../entries/`+id+`/abandon"`)
		for verb, x := range map[string]struct {
			body, code string
		}{
			"retry":    {`{"why":"x"}`, "early"},
			"complete": {`{"why":"x","result":{"approved":false}}`, "settled"},
			"fail":     {`{"why":"x","message":"x"}`, "settled"},
			"reject":   {`{"why":"x","message":"x"}`, "settled"},
		} {
			r.do("POST", "/entries/"+id+"/"+verb, asJSON, x.body).want(t, verb, 409, x.code)
		}
		if notes := r.notes(id); len(notes) != 0 {
			t.Errorf("the journal is %q", notes)
		}

		// The time of the early result passes.
		time.Sleep(time.Hour)
		if _, err := r.hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		e = r.get("/entries/" + id)
		if e.State != "ended" || e.End != "expired" || e.Evidence != "No activity with the business key came in time. The early result was dropped." {
			t.Errorf("after its time, the entry is %+v", e)
		}

		_, second := earlyEntry(r, "order-8")
		r.do("POST", "/entries/"+second+"/abandon", asJSON, `{"why":"x"}`).want(t, "abandon", 200, "ok")
		if e := r.get("/entries/" + second); e.End != "abandoned" {
			t.Errorf("after abandon, the entry is %+v", e)
		}
	})
}

// An early result that its activity does not await is dropped. The entry then
// waits like any other.
func TestEarlyOfAnotherType(t *testing.T) {
	r := newRig(t, func(o *board.Options) { o.Types = nil })
	var reason error
	h := r.other(func(o *async.Options) {
		o.Completer = r.temporal
		o.Hooks.Over = func(_ context.Context, _ async.Callback, why error) error { reason = why; return nil }
	})
	r.hub, h = h, r.hub // start runs the activity with r.hub
	const namespace = "default-test-namespace"
	p, err := async.OpenKey[Decision](t.Context(), h, "order-7", async.KeyOptions{Namespace: namespace, Early: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Complete(t.Context(), Decision{By: secret}); err != nil {
		t.Fatal(err)
	}
	before := r.get("/settled").Entries
	c := start[Receipt](r, async.StartOptions{Key: "order-7"})
	if _, err := r.hub.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := r.get("/entries/" + c.Info().ID)
	if len(before) != 1 || e.ID != before[0].ID || e.State != "waiting" || e.Round == before[0].Round || e.End != "" || e.Evidence != "" {
		t.Errorf("the entry was %+v and is %+v, want that it waits", before, e)
	}
	if reason == nil || !strings.Contains(reason.Error(), "another type") {
		t.Errorf("the hook Over got %v, want ErrTypeMismatch", reason)
	}
	if a := r.get("/ended"); len(a.Entries) != 0 {
		t.Errorf("/ended has %+v", a.Entries)
	}
}
