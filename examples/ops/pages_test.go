package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/browser"
)

// TestPages opens every page of the board in four windows: light and dark, wide
// and narrow. Each window has a browser of its own, so that the time limit of
// the browser is that of one window. See browser.Examiner for pictures of the
// pages.
func TestPages(t *testing.T) {
	t.Parallel()
	for name, window := range map[string]browser.Window{
		"light-1200": {Width: 1200, Height: 900}, "dark-1200": {Width: 1200, Height: 900, Dark: true},
		"light-390": {Width: 390, Height: 844}, "dark-390": {Width: 390, Height: 844, Dark: true},
	} {
		t.Run(name, func(t *testing.T) {
			window.NoScript = true
			chromium := browser.Start(t)
			openPages(t, chromium.Open(window), chromium.Examiner(), name)
		})
	}
}

// openPages opens every page in a window.
func openPages(t *testing.T, tab *browser.Tab, seen browser.Examiner, window string) {
	t.Helper()
	board := newBoard(t)
	waiting, settled := entryIDs(t, board+"waiting"), entryIDs(t, board+"settled")
	ended := waiting[0]
	post(t, board+"entries/"+ended+"/abandon", url.Values{"why": {"The order was cancelled by the customer."}})
	post(t, board+"entries/"+settled[0]+"/retry", url.Values{"why": {"The permission is back."}})
	for _, page := range []struct{ name, path, text string }{
		{"attention", "", "Temporal refuses the outcome"},
		{"waiting", "waiting", "Waiting</h1>"},
		{"waiting-watched", "waiting?watch=1", "Refreshes every 10 seconds"},
		{"settled", "settled", "Settled</h1>"},
		{"settled-watched", "settled?watch=1", "Stop watching"},
		{"ended", "ended", "Ended</h1>"},
		{"all", "all", "All</h1>"},
		{"filter", "all?type=Approve&label=team%3Dblue", "Remove the filter"},
		{"filter-empty", "waiting?key=none", "The filter selects no entry."},
		{"next", "all?limit=2", ">Next</a>"},
		{"counts", "counts", "Counts</h1>"},
		{"counts-watched", "counts?watch=1", "Refreshes every 60 seconds"},
		{"entry-waiting", "entries/" + waiting[1], "Actions</h2>"},
		{"entry-settled", "entries/" + settled[0], "The permission is back."},
		{"entry-ended", "entries/" + ended, "How the end is known"},
		{"problem", "entries/none", "not-found"},
		{"problem-filter", "all?age=old", "The parameter age"},
	} {
		tab.Go(board + page.path)
		tab.Await(page.text)
		seen.Page(tab, page.name+"-"+window)
	}
	// Results: of several entries, and of an answer that is refused.
	tab.Go(board + "settled")
	tab.Await("Chosen entries")
	tab.Click(`input[value^="` + settled[1] + `"]`)
	tab.Click(`input[value^="` + settled[2] + `"]`)
	tab.Click(`.bulk input[name="why"]`)
	tab.Type("The permission is back.")
	tab.Click(`button[value="retry"]`)
	tab.Await("Due now.")
	seen.Page(tab, "results-"+window)
	tab.Go(board + "entries/" + waiting[1])
	tab.Await("Actions</h2>")
	tab.Click(`details.act summary`)
	tab.Click(`textarea[name="result"]`)
	tab.Type(`{"aproved": true}`)
	tab.Click(`form[action$="/complete"] input[name="why"]`)
	tab.Type("by telephone")
	tab.Click(`form[action$="/complete"] button`)
	tab.Await("Not done.")
	seen.Page(tab, "refused-"+window)
}

// entryIDs returns the IDs of the entries in a list.
func entryIDs(t *testing.T, address string) (ids []string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var list struct{ Entries []struct{ ID string } }
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil || len(list.Entries) < 3 {
		t.Fatalf("%s: %+v, %v", address, list, err)
	}
	for _, e := range list.Entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// post sends a form.
func post(t *testing.T, address string, form url.Values) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", address, response.Status)
	}
}
