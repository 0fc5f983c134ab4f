package latchkey_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update", false, "rewrite the list of the exported API")

const apiFile = "api/v0.1.txt"

// TestAPI compares the exported API with the recorded one. A missing line is an
// incompatible change. The next release records new lines. An interface is one
// line, so that an added method is also a missing line.
func TestAPI(t *testing.T) {
	var now []string
	for _, dir := range publicPackages(t) {
		now = append(now, exported(t, dir)...)
	}
	slices.Sort(now)
	now = slices.Compact(now)
	if *updateAPI {
		if err := os.WriteFile(apiFile, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(apiFile)
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Split(strings.TrimSpace(string(recorded)), "\n")
	if len(before) < 300 {
		t.Errorf("%s has %d lines, want at least 300: is the list right?", apiFile, len(before))
	}
	for _, line := range before {
		if _, found := slices.BinarySearch(now, line); !found {
			t.Errorf("no longer there: %s", line)
		}
	}
	if t.Failed() {
		t.Log("If the change is intended, describe it in CHANGELOG.md and run: go test . -run TestAPI -update")
	}
	for _, line := range now {
		if !slices.Contains(before, line) {
			t.Logf("new: %s", line)
		}
	}
}

// publicPackages returns the directories of the packages that applications may
// import.
func publicPackages(t *testing.T) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return err
		case path != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"internal", "examples", "testdata", "tools"}, d.Name())):
			return filepath.SkipDir
		}
		if pkg, err := build.ImportDir(path, 0); err == nil && len(pkg.GoFiles) > 0 {
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// exported returns a line for each exported name, field and method of a package.
func exported(t *testing.T, dir string) (lines []string) {
	t.Helper()
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	add := func(format string, args ...any) {
		lines = append(lines, "pkg "+filepath.ToSlash(dir)+", "+fmt.Sprintf(format, args...))
	}
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				addFunc(add, d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								add("%s %s", d.Tok, strings.TrimSpace(n.Name+" "+source(s.Type)))
							}
						}
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							addType(add, s)
						}
					}
				}
			}
		}
	}
	return lines
}

func addFunc(add func(string, ...any), d *ast.FuncDecl) {
	if !d.Name.IsExported() {
		return
	}
	signature := d.Name.Name + typeParams(d.Type.TypeParams) + signatureOf(d.Type)
	if d.Recv == nil {
		add("func %s", signature)
		return
	}
	receiver := source(d.Recv.List[0].Type)
	if ast.IsExported(strings.TrimLeft(receiver, "*")) {
		add("method (%s) %s", receiver, signature)
	}
}

func addType(add func(string, ...any), s *ast.TypeSpec) {
	name := s.Name.Name + typeParams(s.TypeParams)
	if s.Assign.IsValid() {
		name += " ="
	}
	switch u := s.Type.(type) {
	case *ast.StructType:
		add("type %s struct", name)
		for _, f := range u.Fields.List {
			if len(f.Names) == 0 && ast.IsExported(strings.TrimLeft(source(f.Type), "*")) {
				add("type %s struct, embedded %s", name, source(f.Type))
			}
			for _, n := range f.Names {
				if n.IsExported() {
					add("type %s struct, %s %s", name, n.Name, source(f.Type))
				}
			}
		}
	case *ast.InterfaceType:
		// One line: a method that is added breaks each implementation.
		var methods []string
		for _, m := range u.Methods.List {
			if f, ok := m.Type.(*ast.FuncType); ok && len(m.Names) == 1 {
				methods = append(methods, m.Names[0].Name+signatureOf(f))
			} else {
				methods = append(methods, source(m.Type))
			}
		}
		slices.Sort(methods)
		add("type %s interface { %s }", name, strings.Join(methods, "; "))
	default:
		add("type %s %s", name, source(s.Type))
	}
}

// signatureOf returns the signature of a function without the names of its
// parameters.
func signatureOf(f *ast.FuncType) string {
	results := types(f.Results)
	switch len(results) {
	case 0:
		return "(" + strings.Join(types(f.Params), ", ") + ")"
	case 1:
		return "(" + strings.Join(types(f.Params), ", ") + ") " + results[0]
	}
	return "(" + strings.Join(types(f.Params), ", ") + ") (" + strings.Join(results, ", ") + ")"
}

func types(list *ast.FieldList) (types []string) {
	if list == nil {
		return nil
	}
	for _, f := range list.List {
		for range max(1, len(f.Names)) {
			types = append(types, source(f.Type))
		}
	}
	return types
}

func typeParams(list *ast.FieldList) string {
	if list == nil {
		return ""
	}
	var params []string
	for _, f := range list.List {
		for _, n := range f.Names {
			params = append(params, n.Name+" "+source(f.Type))
		}
	}
	return "[" + strings.Join(params, ", ") + "]"
}

// source prints an expression on one line.
func source(e ast.Expr) string {
	if e == nil {
		return ""
	}
	if f, ok := e.(*ast.FuncType); ok {
		return "func" + signatureOf(f)
	}
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), e); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
