// Package latchkey_test tests rules for the module as a whole.
package latchkey_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/latchkey-go/latchkey"

// deps returns all packages that a package of this module depends on.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	list := strings.Fields(string(out))
	if len(list) < 10 || !slices.Contains(list, pkg) {
		t.Fatalf("go list -deps %s names %d packages, without itself: %v", pkg, len(list), list)
	}
	return list
}

// TestImportArrows checks the dependencies of each package: the stores do not
// depend on activities, and package async does not depend on backends.
func TestImportArrows(t *testing.T) {
	external := func(p string) bool { return strings.Contains(strings.SplitN(p, "/", 2)[0], ".") }
	for pkg, allowed := range map[string]func(dep string) bool{
		"/store":           func(d string) bool { return !external(d) },
		"/store/storetest": func(d string) bool { return !external(d) || d == module+"/store" },
		"/store/bolt": func(d string) bool {
			return !external(d) || d == module+"/store" || d == module+"/store/bolt/internal/pages" || strings.HasPrefix(d, "go.etcd.io/bbolt") || strings.HasPrefix(d, "golang.org/x/")
		},
		"/store/redis": func(d string) bool {
			return !strings.HasPrefix(d, module) || d == module+"/store"
		},
		"/heartbeat": func(d string) bool { return !external(d) },
		"/async": func(d string) bool {
			return !strings.HasPrefix(d, module) || d == module+"/store" || d == module+"/heartbeat" || d == module+"/async/completer" || d == module+"/async/internal/record" || d == module+"/async/internal/lifecycle"
		},
		"/async/completer": func(d string) bool { return !strings.HasPrefix(d, module) },
		"/async/internal/lifecycle": func(d string) bool {
			return !external(d) || d == module+"/async/internal/record" || strings.HasPrefix(d, "google.golang.org/protobuf/")
		},
		"/async/internal/record": func(d string) bool {
			return !external(d) || strings.HasPrefix(d, "google.golang.org/protobuf/")
		},
		"/async/asynctest": func(d string) bool {
			return !strings.HasPrefix(d, module+"/store/") && !strings.HasPrefix(d, module+"/web/")
		},
		"/web/inbox": func(d string) bool {
			return !strings.HasPrefix(d, module+"/store/") && (!strings.HasPrefix(d, module+"/web/") || d == module+"/web/answer" || d == module+"/web/webhook")
		},
		"/web/webhook": func(d string) bool {
			return !strings.HasPrefix(d, module+"/store/") && (!strings.HasPrefix(d, module+"/web/") || d == module+"/web/answer")
		},
		"/web/board": func(d string) bool {
			return !strings.HasPrefix(d, module+"/store/") && (!strings.HasPrefix(d, module+"/web/") || d == module+"/web/answer" || d == module+"/web/webhook")
		},
		"/cmd/latchkey": func(d string) bool { return !external(d) },
		"/web/answer": func(d string) bool {
			return !strings.HasPrefix(d, module+"/store/") && !strings.HasPrefix(d, module+"/web/")
		},
	} {
		if _, err := os.Stat("." + pkg); err != nil {
			t.Errorf("%s is gone: take it off this list", pkg)
			continue
		}
		for _, d := range deps(t, module+pkg) {
			// Dependencies of store are allowed everywhere.
			if d != module+pkg && d != module+"/store/internal/wake" && !allowed(d) {
				t.Errorf("%s is built from %s", pkg, d)
			}
		}
	}
}

// TestBackendsStayOut: an application that uses async does not get a database
// driver.
func TestBackendsStayOut(t *testing.T) {
	for _, pkg := range []string{"/async", "/async/asynctest"} {
		for _, d := range deps(t, module+pkg) {
			for _, no := range []string{"go.etcd.io/bbolt", "github.com/redis/", "github.com/alicebob/"} {
				if strings.HasPrefix(d, no) {
					t.Errorf("%s is built from %s", pkg, d)
				}
			}
		}
	}
}

// TestModulesAreChecked: make check and make test cover each module of the
// repository.
func TestModulesAreChecked(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^MODULES = (.*)$`).FindStringSubmatch(string(makefile))
	if line == nil {
		t.Fatal("the Makefile has no list MODULES")
	}
	listed := strings.Fields(line[1])
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "tools" || path == "testdata" || path == ".git"):
			return filepath.SkipDir
		case d.Name() != "go.mod":
			return nil
		}
		module := filepath.ToSlash(filepath.Dir(path))
		if !slices.Contains(listed, module) {
			t.Errorf("the Makefile's MODULES lacks %s", module)
		}
		if module != "." && !strings.Contains(string(makefile), "$(GO) -C "+module+" $(TEST) ./...") {
			t.Errorf("make test doesn't run the tests of %s", module)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPostgresArrows checks the dependencies of the Postgres store's module.
func TestPostgresArrows(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	cmd.Dir = "store/postgres"
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps in store/postgres: %v", err)
	}
	list := strings.Fields(string(out))
	if !slices.Contains(list, "github.com/jackc/pgx/v5") {
		t.Errorf("store/postgres is built from %d packages, without pgx: is the list right?", len(list))
	}
	for _, d := range list {
		ours := d == module+"/store" || strings.HasPrefix(d, module+"/store/internal/") || d == module+"/store/postgres"
		if strings.HasPrefix(d, module) && !ours || strings.HasPrefix(d, "go.temporal.io/") {
			t.Errorf("store/postgres is built from %s", d)
		}
	}
}

// TestOTelImportsTheAPIOnly: the application chooses OpenTelemetry's SDK.
func TestOTelImportsTheAPIOnly(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	cmd.Dir = "otel"
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps in otel: %v", err)
	}
	list := strings.Fields(string(out))
	if !slices.Contains(list, "go.opentelemetry.io/otel/metric") {
		t.Errorf("otel is built from %d packages, without OpenTelemetry's metric API: is the list right?", len(list))
	}
	for _, d := range list {
		if strings.HasPrefix(d, "go.opentelemetry.io/otel/sdk") || strings.HasPrefix(d, "go.temporal.io/sdk/contrib/") || strings.HasPrefix(d, module+"/store/") && !strings.HasPrefix(d, module+"/store/internal/") {
			t.Errorf("otel is built from %s", d)
		}
	}
}

// TestRequirements keeps go.mod small, because every application gets its
// direct requirements.
func TestRequirements(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"go.temporal.io/sdk", "go.temporal.io/api", "google.golang.org/protobuf",
		"go.etcd.io/bbolt", "github.com/redis/go-redis/v9", "github.com/alicebob/miniredis/v2",
		"github.com/google/jsonschema-go",
	}
	direct := 0
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9.]+\.[a-z]+/\S+) v\S+( // indirect)?$`).FindAllStringSubmatch(string(mod), -1) {
		if m[2] != "" {
			continue
		}
		direct++
		if !slices.Contains(allowed, m[1]) && !strings.HasPrefix(m[1], "golang.org/x/") {
			t.Errorf("go.mod requires %s directly", m[1])
		}
	}
	if direct < 3 {
		t.Errorf("only %d direct requirements were found: is go.mod read right?", direct)
	}
	if strings.Contains(string(mod), "\ntool ") {
		t.Error("go.mod names a tool: those live in tools/go.mod")
	}
}
