package browser

import (
	"os"
	"path/filepath"
	"testing"
)

// Examiner examines pages. LATCHKEY_SCREENSHOTS names a directory for pictures
// of the pages. LATCHKEY_AXE names the file axe.min.js of axe-core, which then
// examines each page too.
type Examiner struct {
	t         testing.TB
	directory string
	axe       string
}

// Examiner returns an examiner of this browser's pages.
func (b *Browser) Examiner() Examiner {
	return Examiner{t: b.t, directory: os.Getenv("LATCHKEY_SCREENSHOTS"), axe: os.Getenv("LATCHKEY_AXE")}
}

// Page examines a page: it must fit the width of the screen.
func (e Examiner) Page(tab *Tab, name string) {
	e.t.Helper()
	if got := tab.Eval(`document.documentElement.scrollWidth <= window.innerWidth`); got != "true" {
		e.t.Errorf("%s is wider than the screen", name)
	}
	if e.directory != "" {
		if err := os.WriteFile(filepath.Join(e.directory, name+".png"), tab.Screenshot(), 0o600); err != nil {
			e.t.Fatal(err)
		}
	}
	if e.axe != "" {
		e.runAxe(tab, name)
	}
}

// Focused checks that the element with the focus has an outline.
func (e Examiner) Focused(tab *Tab, name string) {
	e.t.Helper()
	const outline = `(s => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))`
	if got := tab.Eval(outline); got != "true" {
		e.t.Errorf("%s: what has the focus has no outline", name)
	}
}

// runAxe runs axe-core in the page.
func (e Examiner) runAxe(tab *Tab, name string) {
	e.t.Helper()
	script, err := os.ReadFile(e.axe)
	if err != nil {
		e.t.Fatal(err)
	}
	tab.Eval(string(script) + "; 0")
	const found = `axe.run().then((r) => r.violations.map((v) => v.impact + ": " + v.id + ": " + v.nodes.map((n) => n.html).join(" ")).join("\n"))`
	if got := tab.Eval(found); got != `""` {
		e.t.Errorf("%s: axe-core finds %s", name, got)
	}
}
