package latchkey_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// TestOutsideModule imports Latchkey as an application does, from a module of
// its own. The application's unit tests pass, and its binary contains only
// packages that it needs. After a build of this module, everything that the go
// command needs is in its cache.
func TestOutsideModule(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles an application")
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/outside")); err != nil {
		t.Fatal(err)
	}
	mod := fmt.Sprintf("module expenses.example\n\ngo 1.26.0\n\nrequire %s v0.0.0\n\nreplace %[1]s => %q\n", module, root)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "PWD="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
		}
		return string(out)
	}

	app, bare := strings.Fields(run("list", "-deps", ".")), strings.Fields(run("list", "-deps", "./bare"))
	for _, want := range []string{module + "/async", module + "/store", "go.temporal.io/sdk/client"} {
		if !slices.Contains(app, want) {
			t.Errorf("the application isn't built from %s: is the list right?", want)
		}
	}
	if !slices.Contains(bare, "go.temporal.io/sdk/client") || slices.Contains(bare, module+"/async") {
		t.Errorf("the bare program is built from %d packages, and they are not the client's", len(bare))
	}
	for _, p := range app {
		if backend := regexp.MustCompile(`bbolt|go-redis|miniredis`); backend.MatchString(p) {
			t.Errorf("the application is built from %s, a backend that it doesn't import", p)
		}
		if slices.Contains(bare, p) || strings.HasPrefix(p, "expenses.example") {
			continue
		}
		for _, no := range []string{"testing", "go.temporal.io/sdk/testsuite", module + "/async/asynctest"} {
			if p == no || strings.HasPrefix(p, no+"/") {
				t.Errorf("the application is built from %s, which is for tests", p)
			}
		}
		if external := strings.Contains(strings.SplitN(p, "/", 2)[0], "."); external &&
			!strings.HasPrefix(p, module+"/") && !strings.HasPrefix(p, "golang.org/x/") && !strings.HasPrefix(p, "go.temporal.io/") {
			t.Errorf("the application is built from %s, which Temporal's client alone doesn't need", p)
		}
	}

	test := []string{"test", "-v", "-count=1", "-shuffle=on"}
	if raceDetector() {
		test = append(test, "-race") // the same flag as in this test, so that the packages are already compiled
	}
	out := run(append(test, ".")...)
	for _, name := range []string{"TestApprove", "TestWorkflow"} {
		if !strings.Contains(out, "--- PASS: "+name+" ") {
			t.Errorf("%s didn't run:\n%s", name, out)
		}
	}
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
