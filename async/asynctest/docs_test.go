package asynctest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentation compares docs/testing.md with code that runs. Each Go block
// of the page must occur in a test of this package, word for word, and each
// test that the page names must exist.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("app*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of the application: %v", err)
	}
	var sources []string
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, string(source))
	}
	fence := regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	blocks := fence.FindAllStringSubmatch(string(page), -1)
	if n := strings.Count(string(page), "```"); n != 2*len(blocks) || len(blocks) < 8 {
		t.Fatalf("%d blocks of code were found between %d fences", len(blocks), n)
	}
	for _, b := range blocks {
		language, code := b[1], b[2]
		first, _, _ := strings.Cut(code, "\n")
		if language != "go" {
			t.Errorf("a block of %q can't be checked: %s", language, first)
			continue
		}
		if !slices.ContainsFunc(sources, func(source string) bool { return strings.Contains(source, "\n"+code) }) {
			t.Errorf("no test has the block that begins with %q, word for word", first)
		}
	}
}
