package async_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bounds of TestShape. A type, a function or a file that exceeds one belongs
// in two, or in another place.
const (
	mostMethods   = 25  // of a type; an exported method and the one that it wraps count as one
	longestFunc   = 60  // lines, the first and the last included
	longestFile   = 400 // lines
	reasonForSize = "Longer than"
)

// TestShape holds types, functions and files to their bounds, in this package and
// the packages below. A file may be longer if a comment in it begins with "Longer
// than" and gives the reason.
func TestShape(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "testdata" {
			return err
		}
		if !d.IsDir() || d.Name() == "testdata" {
			return nil
		}
		seen += checkShape(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d files were found", seen)
	}
}

// checkShape checks the files of one directory, and returns how many there are.
func checkShape(t *testing.T, dir string) int {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	methods := make(map[string]map[string]bool) // by type, in lower case
	for _, name := range names {
		if strings.HasSuffix(name, ".pb.go") {
			continue
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		lines := files.Position(f.End()).Line
		if lines > longestFile && !saysWhy(f) {
			t.Errorf("%s has %d lines, more than %d", name, lines, longestFile)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, d := range f.Decls {
			fn, is := d.(*ast.FuncDecl)
			if !is {
				continue
			}
			if n := files.Position(fn.End()).Line - files.Position(fn.Pos()).Line + 1; n > longestFunc {
				t.Errorf("%s: %s has %d lines, more than %d", name, fn.Name.Name, n, longestFunc)
			}
			if fn.Recv != nil {
				of := receiver(fn.Recv.List[0].Type)
				if methods[of] == nil {
					methods[of] = make(map[string]bool)
				}
				methods[of][strings.ToLower(fn.Name.Name)] = true
			}
		}
	}
	for name, of := range methods {
		if n := len(of); n > mostMethods {
			t.Errorf("%s in %s has %d methods, more than %d", name, dir, n, mostMethods)
		}
	}
	return len(names)
}

// saysWhy reports whether a comment gives a reason for the file's length.
func saysWhy(f *ast.File) bool {
	for _, c := range f.Comments {
		if strings.HasPrefix(c.Text(), reasonForSize) {
			return true
		}
	}
	return false
}

// receiver names the type of a method.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	default:
		return ""
	}
}
