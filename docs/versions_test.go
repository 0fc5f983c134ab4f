package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestVersions compares the versions in README.md, the guide and versioning.md
// with those in the go.mod files.
func TestVersions(t *testing.T) {
	version := func(file, module string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(module) + ` v?([0-9.]+)`).FindStringSubmatch(read(t, file))
		if m == nil {
			t.Fatalf("%s has no %s", file, module)
		}
		return m[1]
	}
	goVersion := strings.TrimSuffix(version("../go.mod", "go"), ".0")
	oldest, newest := version("../go.mod", "go.temporal.io/sdk"), version("../examples/go.mod", "go.temporal.io/sdk")
	observer, server := version("../otel/go.mod", "go.temporal.io/sdk"), version("../examples/go.mod", "go.temporal.io/server")
	if of := version("../store/postgres/go.mod", "go.temporal.io/sdk"); of != oldest {
		t.Errorf("store/postgres needs SDK %s, and the root module %s", of, oldest)
	}
	for page, texts := range map[string][]string{
		"../README.md": {
			"Go " + goVersion + " or newer", "Temporal Go SDK " + oldest + " or newer; the tests use " + oldest + " and " + newest + ".",
			"The module `otel` needs " + observer + " or newer.", "Temporal server " + server,
		},
		"guide.md": {
			"Go " + goVersion + " or newer", "Temporal Go SDK " + oldest + " or newer; the tests use " + oldest + " and " + newest + ".",
			"The module `otel` needs " + observer + " or newer.", "Temporal server " + server,
		},
		"versioning.md": {
			"| Go | " + goVersion + " |", "| Temporal Go SDK | " + oldest + ", the version in `go.mod` | " + newest + " |",
			"module `otel` | " + observer + ", the version in `otel/go.mod` | " + newest + " |", "| Temporal server | " + server + " | " + server + " |",
		},
		"../otel/doc.go": {"Go SDK " + observer + " or newer"},
	} {
		text := read(t, page)
		for _, want := range texts {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q", page, want)
			}
		}
	}
}
