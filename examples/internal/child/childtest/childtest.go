// Package childtest runs a whole example in a test, with all its processes. The
// test's program becomes the example if TestMain begins with
//
//	if childtest.IsProgram() {
//		main()
//		return
//	}
package childtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	programVariable = "LATCHKEY_EXAMPLE_PROGRAM"

	// bound and grace prevent hanging. grace is how long the processes of a
	// program may outlive the program.
	bound = 10 * time.Minute
	grace = 5 * time.Minute
)

// IsProgram reports whether this process is a program that a test has started, or a
// child of such a program.
func IsProgram() bool { return os.Getenv(programVariable) != "" }

// Program is a run of the example.
type Program struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  output
	log  bytes.Buffer // the log, which is read after the end
	done chan error
}

// Start runs the example with a Temporal server and a temporary directory of
// its own. The directory must be empty at the end. env is added to the test's
// environment.
func Start(t *testing.T, env ...string) *Program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	temporary := t.TempDir()
	p := &Program{t: t, cmd: exec.CommandContext(ctx, exe), done: make(chan error, 1)}
	p.out.changed = make(chan struct{}, 1)
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TEMPORAL_") }),
		append(env, programVariable+"=1", "LATCHKEY_SERVER=built", "TMPDIR="+temporary)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = grace
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.done <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
			t.Errorf("the program left %v (%v), want an empty directory", left, err)
		}
	})
	return p
}

// Await waits until the program has printed a text.
func (p *Program) Await(text string) {
	p.t.Helper()
	for !strings.Contains(p.out.String(), text) {
		select {
		case <-p.out.changed:
		case err := <-p.done:
			p.t.Fatalf("the program has ended (%v) and not printed %q:\n%s\n%s", err, text, p.out.String(), p.log.Bytes())
		}
	}
}

// Output returns what the program has printed so far.
func (p *Program) Output() string { return p.out.String() }

// Interrupt sends the signal of Ctrl-C.
func (p *Program) Interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Errorf("interrupt the program: %v", err)
	}
}

// Wait waits for the end and returns the output and the log. Wait fails the
// test on another exit code, and if a process of the program has outlived it.
// The processes share the standard error, which Wait reads to its end.
func (p *Program) Wait(code int) (out, log string) {
	p.t.Helper()
	err := <-p.done
	out, log = p.out.String(), p.log.String()
	if errors.Is(err, exec.ErrWaitDelay) {
		p.t.Errorf("processes of the program still run %v after its end", grace)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("the program: %v, want exit code %d\n%s\n%s", err, code, out, log)
	}
	return out, log
}

// expected matches the lines of the build of the server, and lines that a slow
// machine can cause: calls of Temporal or of the store that time out and are
// repeated, and late heartbeats.
var expected = regexp.MustCompile(`^devserver: | (WARN|INFO) async: | ERROR async: the store fails, and the hub retries| WARN webhook: .* code=unavailable `)

// Quiet fails the test if the program has logged anything that is not expected.
func Quiet(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !expected.MatchString(line) {
			t.Errorf("the program logged %q, want nothing", line)
		}
	}
}

// output returns the output so far.
type output struct {
	changed chan struct{}
	mu      sync.Mutex
	b       bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
