package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogFieldsAreDocumented: observability.md has exactly the fields of the log
// lines.
func TestLogFieldsAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "observability.md"), "\n## Log lines\n")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			documented[name[1]] = true
		}
	}
	used := make(map[string]bool)
	for _, dir := range []string{"../async", "../web/board", "../web/webhook", "../web/inbox"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		before := len(used)
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, field := range fieldsOf(n) {
					if used[field] = true; !documented[field] {
						t.Errorf("%s: observability.md has no field %s", path, field)
					}
				}
				return true
			})
		}
		if len(used) == before {
			t.Errorf("%s: no new field was found: is the test right?", dir)
		}
	}
	for field := range documented {
		if !used[field] {
			t.Errorf("no log line has the field %s of observability.md", field)
		}
	}
}

// fieldsOf returns the fields that a node adds to a log line: those of slog's
// constructors, those of package async's fields, and the keys among the
// arguments of a log method.
func fieldsOf(n ast.Node) (names []string) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return nil
	}
	if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "text" && len(call.Args) == 2 {
		return literals(call.Args[:1])
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if x, ok := f.X.(*ast.Ident); ok && x.Name == "slog" && len(call.Args) == 2 {
		return literals(call.Args[:1])
	}
	if !slices.Contains([]string{"DebugContext", "InfoContext", "WarnContext", "ErrorContext"}, f.Sel.Name) || len(call.Args) < 3 {
		return nil
	}
	args := call.Args[2:] // after the context and the message
	if more, ok := args[0].(*ast.CallExpr); ok && len(args) == 1 {
		if is, ok := more.Fun.(*ast.Ident); ok && is.Name == "append" {
			args = more.Args[1:]
		}
	}
	for i := 0; i < len(args); i += 2 {
		names = append(names, literals(args[i:i+1])...)
	}
	return names
}

// literals returns the values of the string literals.
func literals(list []ast.Expr) (all []string) {
	for _, e := range list {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if text, err := strconv.Unquote(l.Value); err == nil {
				all = append(all, text)
			}
		}
	}
	return all
}
