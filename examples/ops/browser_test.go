package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/browser"
	"github.com/latchkey-go/latchkey/store"
)

// TestBoard makes operators use the board in Chromium: with the mouse and
// without JavaScript, and with the keyboard alone on a narrow dark screen. See
// browser.Examiner for pictures of the pages.
func TestBoard(t *testing.T) {
	t.Parallel()
	chromium := browser.Start(t)
	board := newBoard(t)
	seen := chromium.Examiner()

	// Ada corrects a payment, with the mouse. Ada's first answer is misspelt.
	ada := chromium.Open(browser.Window{Width: 1200, Height: 900, NoScript: true})
	ada.Go(board)
	ada.Await("Temporal refuses the outcome")
	seen.Page(ada, "attention-light")
	ada.Go(board + "waiting")
	ada.Await("Waiting</h1>")
	seen.Page(ada, "waiting-light")
	ada.Click(`td.entry a`)
	ada.Await("Actions</h2>")
	ada.Click(`details.act summary`)
	seen.Page(ada, "entry-light")
	ada.Click(`textarea[name="result"]`)
	ada.Type(`{"aproved": true}`)
	ada.Click(`form[action$="/complete"] input[name="why"]`)
	ada.Type("by telephone")
	ada.Click(`form[action$="/complete"] button`)
	ada.Await("Not done.")
	seen.Page(ada, "refused-light")
	if page := ada.HTML(); !strings.Contains(page, "aproved") || !strings.Contains(page, `value="by telephone"`) {
		t.Errorf("the refused form has lost what was typed:\n%s", page)
	}

	// Grace retries several entries, with the keyboard, on a narrow screen.
	grace := chromium.Open(browser.Window{Width: 390, Height: 844, Dark: true})
	grace.Go(board)
	grace.Await("Temporal refuses the outcome")
	seen.Page(grace, "attention-dark-390")
	grace.TabTo(`nav a[href$="waiting"]`)
	seen.Focused(grace, "a tab")
	grace.Press("Enter")
	grace.Await("Waiting</h1>")
	grace.TabTo(`input[type="checkbox"]`)
	seen.Focused(grace, "a check box")
	grace.Press("Space")
	grace.TabTo(`td.entry a`)
	grace.TabTo(`input[type="checkbox"]`)
	grace.Press("Space")
	grace.TabTo(`.bulk input[name="why"]`)
	seen.Focused(grace, "a field")
	grace.Type("test data")
	grace.TabTo(`button[value="abandon"]`)
	seen.Focused(grace, "a button")
	seen.Page(grace, "waiting-dark-390")
	grace.Press("Enter")
	grace.Await("Abandoned.")
	seen.Page(grace, "results-dark-390")
	for path, text := range map[string]string{"counts": "Counts</h1>", "ended": "Ended</h1>", "all?type=Approve": "Remove the filter", "entries/none": "alert"} {
		name := strings.Map(func(r rune) rune {
			if r < 'a' || r > 'z' {
				return '-'
			}
			return r
		}, path)
		for window, tab := range map[string]*browser.Tab{"-light": ada, "-dark-390": grace} {
			tab.Go(board + path)
			tab.Await(text)
			seen.Page(tab, name+window)
		}
	}
	grace.Go(board + "ended")
	grace.Await("Ended</h1>")
	grace.TabTo(`td.entry a`)
	grace.Press("Enter")
	grace.Await("How the end is known")
	grace.Await("test data")
	seen.Page(grace, "entry-dark-390")
}

// newBoard serves a board with approvals that wait and payments that Temporal
// refuses. newBoard returns its address, with a password.
func newBoard(t *testing.T) string {
	t.Helper()
	temporal := &asynctest.Completer{CompleteFunc: func(context.Context, completer.Target, completer.Outcome) error {
		return completer.ErrCallRefused
	}}
	hub, err := async.New(async.Options{Store: store.NewMemory(), Completer: temporal, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	long := map[string]string{"team": "blue", "order": "2026-11-" + strings.Repeat("0123456789", 8)}
	ask := func(name string, answered bool) {
		var p async.Pending[Answer]
		activityFunc := func(ctx context.Context) (Answer, error) {
			return async.Start(ctx, hub, async.StartOptions{Labels: long}, func(_ context.Context, pending async.Pending[Answer]) error {
				p = pending
				return nil
			})
		}
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(slog.New(slog.DiscardHandler))
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivityWithOptions(activityFunc, activity.RegisterOptions{Name: name})
		if _, err := env.ExecuteActivity(name); err != activity.ErrResultPending {
			t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
		}
		if answered {
			if err := p.Complete(t.Context(), Answer{Approved: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 {
		ask("Approve", false)
		ask("Capture", true)
	}
	ask("ReconcileTheStatementOfTheSupplierWithTheLedger", false)
	handler, err := mount(hub, "password")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http://", "http://ops:password@", 1) + "/ops/"
}
