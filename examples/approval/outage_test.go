//go:build unix

package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

// TestTemporalStops: people can decide while Temporal hangs and while it is
// gone. Pages then say that answers are accepted and not delivered yet. All
// answers are delivered when Temporal is back.
func TestTemporalStops(t *testing.T) {
	t.Parallel()
	temporal, err := devserver.Start(t.Context(), devserver.Options{Database: filepath.Join(t.TempDir(), "temporal.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = temporal.Stop() })
	s := newSite(t, temporal)
	runs := make([]client.WorkflowRun, len(samples))
	items := make([]string, len(samples))
	for n, e := range samples {
		if runs[n], err = s.office.File(s.context(), e); err != nil {
			t.Fatal(err)
		}
		items[n] = "/inbox/i/" + s.waits([]string{"grace", "grace", "frances", "edsger"}[n], "Expense of "+e.Amount())
	}
	decides := func(who string, n int) {
		t.Helper()
		if resp, body := s.do(who, http.MethodPost, items[n], approve); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s answers: status %d, want 303:\n%s", who, resp.StatusCode, body)
		}
	}
	wants := func(who string, n int, text string) bool {
		status, body := s.get(who, items[n])
		return status == http.StatusOK && strings.Contains(body, text)
	}
	const onItsWay, arrived = "It is on its way to the workflow", "The workflow has the answer"

	if err := temporal.Suspend(); err != nil {
		t.Fatal(err)
	}
	if !wants("grace", 0, "Send answer") || !wants("grace", 1, "Send answer") {
		t.Error("while Temporal hangs the page has no form")
	}
	decides("grace", 0)
	decides("edsger", 3)
	if !wants("frances", 3, "1 answer so far") {
		t.Error("while Temporal hangs the page doesn't show the first of two answers")
	}
	decides("frances", 3)
	if !wants("grace", 0, onItsWay) || !wants("frances", 3, onItsWay) {
		t.Error("while Temporal hangs the page doesn't say that the answer is on its way")
	}
	temporal.Kill()
	decides("frances", 2)
	decides("grace", 1)
	if resp, body := s.do("grace", http.MethodPost, items[1], reject); resp.StatusCode != http.StatusConflict || !strings.Contains(body, onItsWay) {
		t.Errorf("a different answer while Temporal is gone: status %d, want 409 and the state of the first:\n%s", resp.StatusCode, body)
	}
	if !wants("frances", 2, onItsWay) || wants("grace", 0, arrived) {
		t.Error("while Temporal is gone the page doesn't say that the answer is on its way")
	}
	if resp, body := s.do("ada", http.MethodPost, "/", map[string][]string{"purpose": {"pens"}, "amount": {"3.00"}}); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "not known whether") {
		t.Errorf("filing while Temporal is gone: status %d:\n%s", resp.StatusCode, body)
	}

	if err := temporal.Restart(s.context()); err != nil {
		t.Fatal(err)
	}
	for n, e := range samples {
		by := []string{"Grace", "Grace", "Frances", "Edsger and Frances"}[n]
		var got string
		if err := runs[n].Get(s.context(), &got); err != nil || got != e.String()+": approved by "+by {
			t.Errorf("the workflow returned %q, %v, want it approved by %s", got, err, by)
		}
	}
	eventually(t, "pages say that the workflow has the answer", func() bool { return wants("grace", 0, arrived) && wants("frances", 3, arrived) })
}
