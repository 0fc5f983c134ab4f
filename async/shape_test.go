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

// Limits of TestShape. If a type, a function or a file exceeds a limit, split
// it or move part of it.
const (
	mostMethods   = 25  // methods of a type; an exported method and the method that it wraps count as one
	longestFunc   = 60  // lines of a function, including the first and the last
	longestFile   = 400 // lines
	reasonForSize = "Longer than"
)

// TestShape checks the limits of types, functions and files, in this package
// and the packages below. A file may be longer if a comment in it begins with
// "Longer than" and gives the reason.
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

// checkShape checks the files of one directory, and returns their number.
func checkShape(t *testing.T, dir string) int {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	methods := make(map[string]map[string]bool) // keyed by type, in lower case
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

// receiver returns the type name of a method.
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
