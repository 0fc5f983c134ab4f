// Package docs_test runs the code of the documentation.
package docs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGuideCode: each Go block in the guide and in the page on migrating occurs
// word for word in a file that is compiled and run.
func TestGuideCode(t *testing.T) {
	for page, want := range map[string]struct {
		least int // blocks
		files []string
	}{
		"guide.md":     {10, []string{"guide_code_test.go", "../store/postgres/expense_test.go"}},
		"migrating.md": {1, []string{"migrating_code_test.go"}},
	} {
		var sources []string
		for _, file := range want.files {
			sources = append(sources, read(t, file))
		}
		text := read(t, page)
		blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(text, -1)
		if n := strings.Count(text, "```go\n"); n != len(blocks) || n < want.least {
			t.Fatalf("%s: found %d blocks of code and %d fences, want at least %d of each", page, len(blocks), n, want.least)
		}
		for _, b := range blocks {
			inFunction := "\t" + strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(b[1], "\n", "\n\t"), "\n\t\n", "\n\n"), "\t")
			if !slices.ContainsFunc(sources, func(s string) bool {
				return strings.Contains(s, "\n"+b[1]) || strings.Contains(s, "\n"+inFunction)
			}) {
				first, _, _ := strings.Cut(b[1], "\n")
				t.Errorf("%s: no test has the block that begins with %q, word for word", page, first)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
