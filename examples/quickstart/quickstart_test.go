package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/devserver/devtest"
)

const programVariable = "LATCHKEY_QUICKSTART"

var server devtest.Shared

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
		return
	}
	os.Exit(server.Main(m))
}

// TestREADME compares the README with this program, and the README's output
// with the program's output.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```go\n// Command quickstart ")
	program, rest, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("the README has no program that begins with its package comment")
	}
	if program = "// Command quickstart " + program; program != string(code) {
		t.Errorf("the README's program is not examples/quickstart/main.go:\n%s", program)
	}
	_, rest, found = strings.Cut(rest, "```console\n$ go -C examples run ./quickstart\n")
	output, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("the README has no output of go -C examples run ./quickstart")
	}

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), programVariable+"=1", "TEMPORAL_ADDRESS="+server.Server(t).HostPort())
	var logged strings.Builder
	cmd.Stderr = &logged
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("the program failed: %v\n%s", err, logged.String())
	}
	if string(printed) != output {
		t.Errorf("the program printed:\n%s\nwant, as in the README:\n%s", printed, output)
	}
}
