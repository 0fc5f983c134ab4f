// Package docs_test runs the code of the documentation.
package docs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGuideCode: each block of Go in the guide is in a file that is compiled
// and run, word for word.
func TestGuideCode(t *testing.T) {
	var sources []string
	for _, file := range []string{"guide_code_test.go", "../store/postgres/expense_test.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, string(source))
	}
	page, err := os.ReadFile("guide.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if n := strings.Count(string(page), "```go\n"); n != len(blocks) || n < 10 {
		t.Fatalf("found %d blocks of code and %d fences, want at least 10 of each", len(blocks), n)
	}
	for _, b := range blocks {
		inFunction := "\t" + strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(b[1], "\n", "\n\t"), "\n\t\n", "\n\n"), "\t")
		if !slices.ContainsFunc(sources, func(s string) bool {
			return strings.Contains(s, "\n"+b[1]) || strings.Contains(s, "\n"+inFunction)
		}) {
			first, _, _ := strings.Cut(b[1], "\n")
			t.Errorf("no test has the block that begins with %q, word for word", first)
		}
	}
}
