// Package instruments compares the metrics of a run with the table of
// docs/observability.md, for the tests of packages async and otel.
package instruments

import (
	"iter"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// least is the minimum number of instruments in the table. A table that is not
// recognized would have none.
const least = 23

var (
	row = regexp.MustCompile("(?m)^\\| `(latchkey[a-z.]+)` \\| (?:counter|gauge|timer)[^|]*\\| ([^|]*) \\| (.*) \\|$")
	tag = regexp.MustCompile("[a-z_]+")
)

// Compare compares series such as "name{tag=value,tag=value}" with the table in
// the file page: the same instruments, with the same tags. Rows that skip
// selects by their name and meaning need no series.
func Compare(t *testing.T, page string, series iter.Seq[string], skip func(name, meaning string) bool) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]map[string]bool)
	for s := range series {
		name, tags, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
		if used[name] == nil {
			used[name] = make(map[string]bool)
		}
		for pair := range strings.SplitSeq(tags, ",") {
			if key, _, ok := strings.Cut(pair, "="); ok {
				used[name][key] = true
			}
		}
	}
	documented := make(map[string]bool)
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		name, tags, meaning := r[1], r[2], r[3]
		documented[name] = true
		if skip(name, meaning) {
			continue
		}
		want := tag.FindAllString(strings.ReplaceAll(tags, "none", ""), -1)
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(used[name])); used[name] == nil {
			t.Errorf("the run has no %s", name)
		} else if !slices.Equal(got, want) {
			t.Errorf("%s has the tags %q, and %q in %s", name, got, want, page)
		}
	}
	for name := range used {
		if !documented[name] {
			t.Errorf("%s is not in %s", name, page)
		}
	}
	if len(documented) < least {
		t.Errorf("%s has %d instruments, want at least %d", page, len(documented), least)
	}
}
