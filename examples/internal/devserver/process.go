package devserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// services are the services with an address, in the order of the program's
// -addresses.
var services = [...]string{"frontend", "history", "matching", "worker"}

var errAddressInUse = errors.New("address in use")

// process is one run of the server.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // the server ends when this is closed
	lines lines          // what it prints
	done  chan struct{}
	err   error // how the process ended; read after done
	tail  *tail

	killOnStop bool // the child must not notice that its standard input is closed
}

// run starts the program and waits until it is ready.
func (s *Server) run(ctx context.Context) (*process, error) {
	settings, err := json.Marshal(s.dynamicConfig())
	if err != nil {
		return nil, fmt.Errorf("dynamic configuration: %w", err)
	}
	p := &process{
		cmd: exec.Command(s.program,
			"-addresses", strings.Join(s.addresses, ","),
			"-database", s.options.Database,
			"-namespaces", strings.Join(s.options.Namespaces, ","),
			"-dynamic", string(settings)),
		lines: make(lines, 1),
		done:  make(chan struct{}),
		tail:  new(tail),
	}
	p.cmd.Env = append(os.Environ(), s.options.Env...)
	p.cmd.Stdout = p.lines
	p.cmd.Stderr = io.MultiWriter(p.tail, s.options.Log)
	p.cmd.SysProcAttr = dieWithParent()
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.start(s.options.Processors); err != nil {
		return nil, err
	}
	select {
	case <-p.lines:
		return p, nil
	case <-p.done:
		return nil, p.earlyEnd()
	case <-ctx.Done():
		p.kill()
		return nil, fmt.Errorf("%w\n%s", context.Cause(ctx), p.tail)
	}
}

// earlyEnd is the error of a program that ended before it was ready.
func (p *process) earlyEnd() error {
	if strings.Contains(p.tail.String(), "address already in use") {
		return errAddressInUse
	}
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	return fmt.Errorf("ended early: %w\n%s", err, p.tail)
}

// start starts the program, and leaves a goroutine that lives as long as the
// program. The goroutine of the program keeps its thread. For the kernel, the
// thread is the parent, and the child would die with it.
func (p *process) start(processors []int) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: a thread with restricted processors ends with its goroutine
		var err error
		if len(processors) > 0 {
			err = confine(processors)
		}
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	return <-started
}

// collect makes the program collect its garbage.
func (p *process) collect() error {
	if _, err := io.WriteString(p.stdin, "\n"); err != nil {
		return err
	}
	select {
	case <-p.lines:
		return nil
	case <-p.done:
		return fmt.Errorf("ended: %w\n%s", p.err, p.tail)
	}
}

// stop ends the program by closing its standard input.
func (p *process) stop(grace time.Duration) error {
	_ = p.stdin.Close() // fails only if the program has already ended
	if p.killOnStop {
		p.kill()
		return nil
	}
	select {
	case <-p.done:
	case <-time.After(grace):
		p.kill()
		return fmt.Errorf("killed, because it was still running after %v\n%s", grace, p.tail)
	}
	if p.err != nil {
		return fmt.Errorf("%w\n%s", p.err, p.tail)
	}
	return nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if the program has already ended
	<-p.done
}

// lines is a writer that sends a value for each written line. It holds one.
type lines chan struct{}

func (l lines) Write(b []byte) (int, error) {
	for range bytes.Count(b, []byte("\n")) {
		select {
		case l <- struct{}{}:
		default:
		}
	}
	return len(b), nil
}

// tail keeps the last bytes that are written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const limit = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - limit; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
