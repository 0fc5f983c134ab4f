package async_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestInternalsNamesFiles: each file that docs/internals.md names exists, and
// each change in its list involves at most two files.
func TestInternalsNamesFiles(t *testing.T) {
	b, err := os.ReadFile("../docs/internals.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	files := regexp.MustCompile("`([a-z_/]+\\.(?:go|proto))`")
	named := 0
	for _, m := range files.FindAllStringSubmatch(text, -1) {
		named++
		// A file name without a folder belongs to this package or to the rules.
		found := false
		for _, dir := range []string{".", "internal", "internal/lifecycle"} {
			_, err := os.Stat(filepath.Join(dir, m[1]))
			found = found || err == nil
		}
		if !found {
			t.Errorf("docs/internals.md names %s, which is not there", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)\| hub: (\S+\.go) \|$`).FindAllStringSubmatch(text, -1) {
		named++
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("the state table names %s, which is not there", m[1])
		}
	}
	if named < 80 {
		t.Errorf("only %d names of files were found", named)
	}
	_, table, _ := strings.Cut(text, "## Where to change what")
	table, _, _ = strings.Cut(table, "\n## ")
	changes := 0
	for line := range strings.Lines(table) {
		if n := len(files.FindAllString(line, -1)); n > 0 {
			if changes++; n > 2 {
				t.Errorf("a change leads to %d files: %s", n, line)
			}
		}
	}
	if changes < 5 {
		t.Errorf("docs/internals.md has %d changes, want 5", changes)
	}
}
