package postgres_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBackendsPage holds docs/backends.md to what it says of this package and
// of storetest: its code is ours, and what it names is there.
func TestBackendsPage(t *testing.T) {
	t.Parallel()
	page := read(t, "../../docs/backends.md")
	ours := read(t, "*.go")
	snippets := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(page, -1)
	for _, s := range snippets {
		if !strings.Contains(ours, s[1]) {
			t.Errorf("docs/backends.md has code that isn't in this folder:\n%s", s[1])
		}
	}
	wrong := read(t, "../../store/storetest/wrong*_test.go")
	mistakes := regexp.MustCompile(`“([^”]+)”`).FindAllStringSubmatch(page, -1)
	for _, m := range mistakes {
		if !strings.Contains(wrong, `name: "`+m[1]+`"`) {
			t.Errorf("docs/backends.md tells of %q, and no wrong store of storetest is named so", m[1])
		}
	}
	tests := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(page, -1)
	for _, name := range tests {
		if !strings.Contains(ours, "func "+name[1]+"(") {
			t.Errorf("docs/backends.md names %s, which isn't in this folder", name[1])
		}
	}
	if len(snippets) < 10 || len(mistakes) < 30 || len(tests) < 2 {
		t.Errorf("docs/backends.md: found %d pieces of code, %d mistakes and %d tests, want more: this shows nothing", len(snippets), len(mistakes), len(tests))
	}
}

// TestIsShort counts the lines of code, as docs/backends.md promises.
func TestIsShort(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for line := range strings.Lines(read(t, path)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
	}
	if lines > 200 {
		t.Errorf("lines of code beside comments: got %d, want 200 at most", lines)
	}
}

// read returns the files that a pattern matches, one behind the other.
func read(t *testing.T, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: got %d files and %v, want some", pattern, len(paths), err)
	}
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
		all.WriteString("\n")
	}
	return all.String()
}
