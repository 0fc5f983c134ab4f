package board_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/board"
)

// TestLogFields checks that each log line about an entry has the fields of
// package async, and the shortened ID only.
func TestLogFields(t *testing.T) {
	var audit, authorize func() error // for the entry
	r := newRig(t, func(o *board.Options) {
		o.Audit = func(context.Context, string, board.Action, async.Callback, string) error { return audit() }
		before := o.Authorize
		o.Authorize = func(ctx context.Context, r *http.Request, a board.Action, c async.Callback) (string, error) {
			if c.ID() != "" {
				_ = authorize()
			}
			return before(ctx, r, a, c)
		}
	})
	fine, fails, panics := func() error { return nil }, func() error { return errors.New("away") }, func() error { panic("x") }
	c, id := r.entry(nil)
	for n := range 256 {
		if err := c.Note(t.Context(), async.Note{Kind: "k", By: strings.Repeat("x", n+1)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		audit, authorize func() error
		want             string
	}{
		{fails, fine, "Options.Audit returned an error"},
		{panics, fine, "Options.Audit panicked"},
		{fine, panics, "Options.Authorize panicked"},
		{fine, fine, "the journal is full"},
		{fine, fine, "action"},
	} {
		audit, authorize = step.audit, step.authorize
		before := len(r.log.String())
		r.do("POST", "/entries/"+id+"/abandon", asJSON, `{"why":"x"}`)
		found := false
		for line := range strings.Lines(r.log.String()[before:]) {
			if !strings.Contains(line, `msg="board: `+step.want) {
				continue
			}
			found = true
			for _, want := range []string{"callback=" + store.ShortID(id) + " ", "activity_type=approve", "workflow_id=" + c.Info().WorkflowID, " action="} {
				if !strings.Contains(line, want) {
					t.Errorf("the line has no %s: %s", want, line)
				}
			}
			if strings.Contains(line, id) {
				t.Errorf("the line has the whole ID: %s", line)
			}
		}
		if !found {
			t.Errorf("no line says %q:\n%s", step.want, r.log.String()[before:])
		}
	}
}
