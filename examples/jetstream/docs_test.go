package jetstream_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBackendsPage compares docs/backends.md with this package, store/postgres
// and storetest. The code on the page must occur in them, and the names on it
// must exist.
func TestBackendsPage(t *testing.T) {
	t.Parallel()
	page := read(t, "../../docs/backends.md")
	sources := read(t, "*.go") + read(t, "../../store/postgres/*.go")
	snippets := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(page, -1)
	for _, s := range snippets {
		if !strings.Contains(sources, s[1]) {
			t.Errorf("docs/backends.md has code that is neither in this folder nor in store/postgres:\n%s", s[1])
		}
	}
	wrong := read(t, "../../store/storetest/wrong*_test.go")
	mistakes := regexp.MustCompile(`“([^”]+)”`).FindAllStringSubmatch(page, -1)
	for _, m := range mistakes {
		if !strings.Contains(wrong, `name: "`+m[1]+`"`) {
			t.Errorf("docs/backends.md names the mistake %q, and storetest has no wrong store of that name", m[1])
		}
	}
	tests := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(page, -1)
	for _, name := range tests {
		if !strings.Contains(sources, "func "+name[1]+"(") {
			t.Errorf("docs/backends.md names %s, which does not exist", name[1])
		}
	}
	if len(snippets) < 10 || len(mistakes) < 30 || len(tests) < 2 {
		t.Errorf("docs/backends.md: found %d pieces of code, %d mistakes and %d tests, want more: this shows nothing", len(snippets), len(mistakes), len(tests))
	}
}

// TestSize counts the lines of code and compares the number with
// docs/backends.md.
func TestSize(t *testing.T) {
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
	if lines < 500 || lines > 650 {
		t.Errorf("lines of code without comments: got %d, want about 600", lines)
	}
}

// read returns the contents of the files that match a pattern, one after the
// other.
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
