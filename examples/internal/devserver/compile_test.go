package devserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// program is a module with a program of one file.
func program(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module program.test\n\ngo 1.26\n", "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCompile(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	output := filepath.Join(t.TempDir(), "program")
	if err := compile(t.Context(), program(t, "package main\n\nfunc main() { println(\"here\") }\n"), ".", output, &log); err != nil {
		t.Fatal(err)
	}
	if printed, err := exec.Command(output).CombinedOutput(); err != nil || string(printed) != "here\n" {
		t.Errorf("the program printed %q, %v", printed, err)
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "devserver: ") {
			t.Errorf("logged %q, want the prefix that the examples show to their users", line)
		}
	}
	if !strings.Contains(log.String(), "packages to compile") || !strings.Contains(log.String(), "built the Temporal server in ") {
		t.Errorf("logged %q, want how much there is to do, and that it is done", log.String())
	}
}

func TestCompileFails(t *testing.T) {
	t.Parallel()
	err := compile(t.Context(), program(t, "package main\n\nfunc main() { absent() }\n"), ".", filepath.Join(t.TempDir(), "program"), new(strings.Builder))
	if err == nil || !strings.Contains(err.Error(), "undefined: absent") {
		t.Errorf("got %v, want what the compiler says", err)
	}
}

func TestCompileProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var compiled atomic.Int64
		finished, reported := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(reported)
			report(&log, &compiled, 1751, time.Now(), finished)
		}()
		time.Sleep(progressInterval + time.Second)
		compiled.Store(300)
		time.Sleep(progressInterval)
		close(finished)
		<-reported
		want := "devserver: 0 of 1751 packages, 10s elapsed\ndevserver: 300 of 1751 packages, 20s elapsed\n"
		if log.String() != want {
			t.Errorf("logged:\n%s\nwant:\n%s", log.String(), want)
		}
	})
}

func TestIsPackage(t *testing.T) {
	for line, want := range map[string]bool{
		"internal/abi":                         true,
		"go.temporal.io/server/common":         true,
		"":                                     false,
		"# program.test":                       false,
		"./main.go:3:15: undefined: absent":    false,
		"go: downloading example.com/x v1.2.3": false,
	} {
		if got := isPackage(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

// TestAutomatic: a database stays with the kind of server that created it.
func TestAutomatic(t *testing.T) {
	installed, missing := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(installed, cliCommand+exeSuffix()), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, exists, want string
	}{
		"not installed":                     {path: missing, want: Built},
		"installed":                         {path: installed, want: CLI},
		"installed, a built one's file":     {path: installed, exists: "temporal.db", want: Built},
		"installed, the CLI's file":         {path: installed, exists: "temporal.db.cli", want: CLI},
		"no longer installed, a CLI's file": {path: missing, exists: "temporal.db.cli", want: CLI},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", c.path)
			dir := t.TempDir()
			if c.exists != "" {
				if err := os.WriteFile(filepath.Join(dir, c.exists), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := automatic(Options{Database: filepath.Join(dir, "temporal.db")}); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
