package main

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// program is one life of the built program.
type program struct {
	cmd  *exec.Cmd
	base string // of the links, once some were printed

	mu  sync.Mutex
	out []byte
	log bytes.Buffer // read after the end
}

// Write collects what the program prints.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b...)
	return len(b), nil
}

// lines returns the whole lines that were printed so far.
func (p *program) lines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.out[:bytes.LastIndexByte(p.out, '\n')+1])
}

func startProgram(t *testing.T, path, data string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(path, "-data", data)}
	p.cmd.Stdout = p
	p.cmd.Stderr = &p.log
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(temporalVariables, name)
	})
	p.cmd.Env = append(p.cmd.Env, "LATCHKEY_SERVER=built")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the program printed:\n%s\nand logged:\n%s", p.lines(), p.log.String())
		}
	})
	return p
}

var printedLink = regexp.MustCompile(`(?m)^(Waiting|Still waiting): ([^,]+),.*\n +(http://127\.0\.0\.1:[0-9]+)(/expense/\S+)$`)

// links returns the links that were printed, by employee, without the page's
// address: a restart usually has the same, unless another program has taken it.
func (p *program) links() map[string]string {
	links := make(map[string]string)
	for _, m := range printedLink.FindAllStringSubmatch(p.lines(), -1) {
		p.base, links[m[2]] = m[3], m[4]
	}
	return links
}

// post answers as a form does, and returns the status.
func (p *program) post(t *testing.T, link string, form url.Values) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.base+link, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// TestKillAndRestart kills the program, server and all, and starts it again:
// every expense still waits, and the links that were sent before still answer.
func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "approval")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	data := t.TempDir()

	first := startProgram(t, path, data)
	eventually(t, "all samples wait", func() bool { return len(first.links()) == len(samples) })
	links := first.links()
	// One decision is known to be safe before the end.
	if status := first.post(t, links["Barbara"], url.Values{"answer": {"approve"}, "by": {"Kay"}}); status != http.StatusSeeOther {
		t.Fatalf("approving before the kill: status %d, want %d", status, http.StatusSeeOther)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait() // tells that it was killed

	second := startProgram(t, path, data)
	waiting := len(samples) - 1
	eventually(t, "those that waited still wait", func() bool { return len(second.links()) == waiting })
	for employee, link := range second.links() {
		if employee == "Barbara" {
			t.Errorf("%s's expense waits, want it to stay decided", employee)
		}
		if link != links[employee] {
			t.Errorf("%s's expense waits under another link than before, want the same", employee)
		}
	}
	if status := second.post(t, links["Barbara"], url.Values{"answer": {"reject"}, "by": {"Kay"}}); status != http.StatusConflict {
		t.Errorf("another decision than before the kill: status %d, want %d", status, http.StatusConflict)
	}
	for employee, answer := range map[string]string{"Ada": "approve", "Grace": "reject"} {
		if status := second.post(t, links[employee], url.Values{"answer": {answer}, "by": {"Kay"}}); status != http.StatusSeeOther {
			t.Errorf("%s's expense by the old link: status %d, want %d", employee, status, http.StatusSeeOther)
		}
	}
	for _, line := range []string{
		"Decided: Ada, train tickets (€84.20): approved by Kay\n",
		"Decided: Grace, espresso machine (€1,299.00): rejected by Kay\n",
	} {
		eventually(t, "the terminal says "+line, func() bool { return strings.Contains(second.lines(), line) })
	}

	// A second program is kept away from the files of the first.
	other := startProgram(t, path, data)
	if err := other.cmd.Wait(); err == nil || !strings.Contains(other.log.String(), "locked") {
		t.Errorf("a second program on the same files: %v, want it to say that they are locked:\n%s", err, other.log.String())
	}

	if err := second.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v, want a clean end", err)
	}
	if strings.Count(second.lines(), "Decided:") != 2 {
		t.Error("the terminal has other decisions than the two that were made")
	}
	for line := range strings.Lines(second.log.String()) {
		if !strings.HasPrefix(line, "devserver: ") {
			t.Errorf("logged %q, want no noise", line)
		}
	}
}

func TestEndsBeforeItHasStarted(t *testing.T) {
	ownServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"-data", t.TempDir()}, new(bytes.Buffer), new(bytes.Buffer)); err != nil {
		t.Errorf("Ctrl-C at once: %v, want a clean end", err)
	}
	if err := run(ctx, []string{"-auto", "-data", t.TempDir()}, new(bytes.Buffer), new(bytes.Buffer)); err == nil {
		t.Error("-auto that was ended at once: no error, want one, since it hasn't done its work")
	}
}
