package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// private are words and phrases that have confused readers, with better words.
var private = map[string]string{
	`told`:                      "name the actor: the hook is called, the error says",
	`nobody|somebody|whoever`:   "name the actor: caller, operator, external system, hub",
	`the outside|the outside's`: "external system, or caller",
	`asked after`:               "asked about",
	`beside`:                    "with, in addition to, next to",
	`likewise`:                  "also",
	`so many`:                   "the number",
}

// puzzling are phrases that have confused readers of comments, with what to
// write instead. No comment may contain these phrases, not even in tests and
// examples.
var puzzling = map[string]string{
	`what (came|comes|became|becomes) of`: "name the result: what happened to the answer, the result of the call",
	`for ever`:                            "forever, or without a limit",
	`mend|mends|mended`:                   "repair, or remove the cause",
	`none but`:                            "only",
	`puts? off`:                           "postpone, or defer",
	`all the same`:                        "nevertheless",
	`at hand|in (his|its|their) hands?`:   "name it: the claimed entries",
	`under way`:                           "running, or being sent",
}

// TestPlainEnglish: the documentation, comments, errors, log messages, texts of
// flags, pages and alert rules do not contain these words.
func TestPlainEnglish(t *testing.T) {
	instead := maps.Clone(private)
	maps.Copy(instead, puzzling)
	words := slices.Sorted(maps.Keys(instead))
	dialect := regexp.MustCompile(`(?i)\b(` + strings.Join(words, "|") + `)\b`)
	texts := 0
	check := func(place, text string) {
		texts++
		if word := dialect.FindString(text); word != "" {
			t.Errorf("%s: %q in %q", place, word, strings.Join(strings.Fields(text), " "))
		}
	}
	for _, pattern := range []string{"../*.md", "*.md", "observability/alerts.yml", "../web/*/templates/*.html"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(pages), err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for paragraph := range strings.SplitSeq(string(text), "\n") {
				check(page, paragraph)
			}
		}
	}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "tools"}, d.Name()):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".pb.go"):
			return nil
		}
		return checkFile(path, check)
	})
	if err != nil {
		t.Fatal(err)
	}
	if texts < 9000 {
		t.Errorf("read %d texts, want at least 9000", texts)
	}
	if t.Failed() {
		for _, w := range words {
			t.Logf("instead of %s: %s", strings.ReplaceAll(w, "|", ", "), instead[w])
		}
	}
}

// checkFile checks a file's comments, and the texts of its errors and log
// messages unless the file is a test.
func checkFile(path string, check func(place, text string)) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, g := range file.Comments {
		// A comment may begin with the name of what it documents.
		_, text, _ := strings.Cut(g.Text(), " ")
		check(fset.Position(g.Pos()).String(), text)
	}
	if strings.HasSuffix(path, "_test.go") {
		return nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if n, ok := n.(*ast.CallExpr); ok && isMessage(n) {
			for _, arg := range n.Args {
				if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
					check(fset.Position(text.Pos()).String(), text.Value)
				}
			}
		}
		return true
	})
	return nil
}

// isMessage reports whether a call creates an error, a log message or a flag.
func isMessage(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"StringVar", "IntVar", "BoolVar", "DurationVar", "Func", "BoolFunc", "Var", "New", "Errorf", "Error", "Warn", "Info", "Debug", "ErrorContext", "WarnContext", "InfoContext", "DebugContext", "LogAttrs"}, f.Sel.Name)
}
