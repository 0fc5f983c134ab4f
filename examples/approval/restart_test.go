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

// program is one run of the built program.
type program struct {
	cmd  *exec.Cmd
	base string // the address in the links, after some were printed

	mu  sync.Mutex
	out []byte
	log bytes.Buffer // the log, which is read after the end
}

// Write collects the output of the program.
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

var printedMail = regexp.MustCompile(`(?m)^Mail to ([^:]+): (Expense of \S+)\n +(http://127\.0\.0\.1:[0-9]+)(/inbox/\S+)$`)

// links returns the links in the printed mails, by title, without the site's
// address. After a restart the address is usually the same, unless another
// program has taken it.
func (p *program) links() map[string]string {
	links := make(map[string]string)
	for _, m := range printedMail.FindAllStringSubmatch(p.lines(), -1) {
		p.base, links[m[2]] = m[3], m[4]
	}
	return links
}

var printedAddress = regexp.MustCompile(`(?m)^Sign in at (http://127\.0\.0\.1:[0-9]+)/ `)

// address returns the site's address after it was printed.
func (p *program) address() string {
	m := printedAddress.FindStringSubmatch(p.lines())
	if m == nil {
		return ""
	}
	p.base = m[1]
	return p.base
}

// post sends a form as a person, or without sign-in, and returns the status.
func (p *program) post(t *testing.T, id, path string, form url.Values) int {
	t.Helper()
	v, err := newVisitor(t.Context(), p.base, id)
	if err != nil {
		t.Fatal(err)
	}
	status, err := v.post(t.Context(), p.base+path, form)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// TestKillAndRestart kills the program and its server, and starts it again.
// Every expense still waits with its votes, and old links still answer.
func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "approval")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	data := t.TempDir()
	const small, other, lunch, large = "Expense of €84.20", "Expense of €310.00", "Expense of €38.50", "Expense of €4,800.00"

	first := startProgram(t, path, data)
	eventually(t, "a mail is sent for each sample", func() bool { return len(first.links()) == len(samples) })
	links := first.links()
	// One decision and one of two votes are accepted before the kill.
	if status := first.post(t, "frances@example.com", links[large], approve); status != http.StatusSeeOther {
		t.Fatalf("a vote before the kill: status %d, want %d", status, http.StatusSeeOther)
	}
	if status := first.post(t, "", links[lunch], with(approve, "_name", "Frances")); status != http.StatusSeeOther {
		t.Fatalf("approving before the kill: status %d, want %d", status, http.StatusSeeOther)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait() // the error says that the program was killed

	second := startProgram(t, path, data)
	eventually(t, "those that waited still wait", func() bool { return strings.Count(second.lines(), "Still waits: ") == len(samples)-1 })
	if second.address() == "" || strings.Contains(second.lines(), "lunch with a customer (€38.50)\n") {
		t.Errorf("after the restart it printed:\n%s\nwant an address, and the decided expense not among those that wait", second.lines())
	}
	if status := second.post(t, "", links[lunch], with(reject, "_name", "Frances")); status != http.StatusConflict {
		t.Errorf("another decision than before the kill: status %d, want %d", status, http.StatusConflict)
	}
	for _, c := range []struct {
		id, title string
		form      url.Values
	}{
		{"", small, with(approve, "_name", "Grace")},
		{"", other, with(reject, "_name", "Grace")},
		{"edsger@example.com", large, approve}, // the second of two votes
	} {
		if status := second.post(t, c.id, links[c.title], c.form); status != http.StatusSeeOther {
			t.Errorf("%s by the old link: status %d, want %d", c.title, status, http.StatusSeeOther)
		}
	}
	for _, line := range []string{
		"Ada, train tickets (€84.20): approved by link for grace@example.com, says Grace\n",
		"Ada, espresso machine (€310.00): rejected by link for grace@example.com, says Grace\n",
		"Barbara, rack of servers (€4,800.00): approved by Frances and Edsger\n",
	} {
		eventually(t, "a mail says "+line, func() bool { return strings.Contains(second.lines(), "Decided: "+line) })
	}

	// A second program cannot use the files of the first one.
	another := startProgram(t, path, data)
	if err := another.cmd.Wait(); err == nil || !strings.Contains(another.log.String(), "locked") {
		t.Errorf("a second program on the same files: %v, want it to say that they are locked:\n%s", err, another.log.String())
	}

	if err := second.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v, want a clean end", err)
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
