package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
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

// TestPlainEnglish: the documentation, comments, errors and log messages do not
// contain these words.
func TestPlainEnglish(t *testing.T) {
	var words []string
	for w := range private {
		words = append(words, w)
	}
	slices.Sort(words)
	dialect := regexp.MustCompile(`(?i)\b(` + strings.Join(words, "|") + `)\b`)
	texts := 0
	check := func(place, text string) {
		texts++
		if word := dialect.FindString(text); word != "" {
			t.Errorf("%s: %q in %q", place, word, strings.Join(strings.Fields(text), " "))
		}
	}
	for _, pattern := range []string{"../*.md", "*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
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
		case d.IsDir() && slices.Contains([]string{"internal", "testdata", ".git", "examples", "tools"}, d.Name()):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return checkFile(path, check)
	})
	if err != nil {
		t.Fatal(err)
	}
	if texts < 3000 {
		t.Errorf("read %d texts, want at least 3000", texts)
	}
	if t.Failed() {
		for _, w := range words {
			t.Logf("instead of %s: %s", strings.ReplaceAll(w, "|", ", "), private[w])
		}
	}
}

// checkFile checks a file's comments, and the texts of its errors and log
// messages.
func checkFile(path string, check func(place, text string)) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	comment := func(groups ...*ast.CommentGroup) {
		for _, g := range groups {
			if g != nil {
				check(fset.Position(g.Pos()).String(), g.Text())
			}
		}
	}
	comment(file.Doc)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.IsExported() {
				comment(n.Doc)
			}
		case *ast.GenDecl:
			if slices.ContainsFunc(n.Specs, exportedSpec) {
				comment(n.Doc)
			}
		case *ast.TypeSpec:
			if n.Name.IsExported() {
				comment(n.Doc, n.Comment)
			}
		case *ast.ValueSpec:
			if exportedSpec(n) {
				comment(n.Doc, n.Comment)
			}
		case *ast.Field:
			if slices.ContainsFunc(n.Names, (*ast.Ident).IsExported) {
				comment(n.Doc, n.Comment)
			}
		case *ast.CallExpr:
			if isMessage(n) {
				for _, arg := range n.Args {
					if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
						check(fset.Position(text.Pos()).String(), text.Value)
					}
				}
			}
		}
		return true
	})
	return nil
}

func exportedSpec(s ast.Spec) bool {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Name.IsExported()
	case *ast.ValueSpec:
		return slices.ContainsFunc(s.Names, (*ast.Ident).IsExported)
	}
	return false
}

// isMessage reports whether a call creates an error or a log message.
func isMessage(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"New", "Errorf", "Error", "Warn", "Info", "Debug", "ErrorContext", "WarnContext", "InfoContext", "DebugContext", "LogAttrs"}, f.Sel.Name)
}
