package board_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// An entry that is damaged or that a newer release wrote is not changed, but
// counted.
func TestUnreadable(t *testing.T) {
	r := newRig(t)
	_, fine := r.entry(nil)
	c, newer := r.entry(nil)
	c2, damaged := r.entry(nil)
	for id, body := range map[string][]byte{newer: {99, 1, 2, 3}, damaged: {1, 0xff, 0xff}} {
		e, err := r.store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.Put(t.Context(), store.Entry{ID: id, Version: e.Version, Due: time.Now().Add(time.Hour), Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	a := r.get("/waiting")
	if len(a.Entries) != 1 || a.Entries[0].ID != fine || a.Skipped != 2 {
		t.Errorf("the list has %+v and %d skipped, want one entry and 2 skipped", a.Entries, a.Skipped)
	}
	r.page("/").wantPage(t, "attention", 200, "2 could not be read")
	r.page("/counts").wantPage(t, "counts", 200, "2 entries could not be read")
	for id, status := range map[string]int{newer: 503, damaged: 500} {
		for _, way := range []string{asPage, asJSON} {
			if a := r.do("GET", "/entries/"+id, way, ""); a.status != status {
				t.Errorf("the entry is %d, want %d\n%s", a.status, status, a.body)
			}
		}
		if a := r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x"}`); a.status != status {
			t.Errorf("abandon is %d, want %d\n%s", a.status, status, a.body)
		}
	}
	r.plant(c.ID(), c2.ID())
	if !strings.Contains(r.log.String(), "board: request failed") {
		t.Error("the log has nothing of entries that can't be read")
	}
}
