// Package child runs its own program again as a process with another role. The
// examples need processes that they can kill.
//
// A child ends when its parent ends in any way, because the child's standard
// input is a pipe that the parent holds. See [Context].
package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"
)

// Options configures a process.
type Options struct {
	// Name is the name of the process in errors.
	Name string

	// Args are the arguments, with the role first.
	Args []string

	// Server is the Temporal server that [Dial] finds in the process. Defaults
	// to none.
	Server *Server

	// Heard is called with each whole line that the process prints, one at a time.
	// Partial lines of a killed process are dropped. Required.
	Heard func(line string)

	// Ended is called if the process ends without a call of Kill or Stop.
	// Required.
	Ended func(err error)
}

// Process is a child. Any goroutine may call the methods of a Process.
type Process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	wanted  atomic.Bool   // set before an intended end
	silence chan struct{} // closed when the process has ended and its output was read
}

// grace is the time in which a child must stop.
const grace = 10 * time.Second

// Start starts the process. The caller must end the process with Kill or Stop.
func Start(o Options) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	p := &Process{cmd: exec.Command(program, o.Args...), silence: make(chan struct{})}
	p.cmd.Env = o.Server.environ()
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	go p.listen(o, bufio.NewReader(out))
	return p, nil
}

func (p *Process) listen(o Options, out *bufio.Reader) {
	for {
		line, err := out.ReadString('\n')
		if err != nil {
			break
		}
		o.Heard(strings.TrimSuffix(line, "\n"))
	}
	err := p.cmd.Wait()
	close(p.silence)
	if p.wanted.Load() {
		return
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	o.Ended(fmt.Errorf("the %s has ended unexpectedly: %w", o.Name, err))
}

// Kill ends the process with SIGKILL. Kill returns when the output of the
// process was read.
func (p *Process) Kill() {
	p.wanted.Store(true)
	_ = p.cmd.Process.Kill() // fails only if the process has already ended
	<-p.silence
}

// Stop asks the process to end, and kills it if it does not. After Kill, or
// another Stop, Stop does nothing.
func (p *Process) Stop() {
	p.wanted.Store(true)
	_ = p.stdin.Close() // fails only if the process has already ended
	select {
	case <-p.silence:
	case <-time.After(grace):
		p.Kill()
	}
}

// Context is called in the child. Context returns a context that ends when the
// parent calls Stop or ends. The child ignores Ctrl-C, because the parent gets
// it too.
func Context(parent context.Context) context.Context {
	signal.Ignore(os.Interrupt)
	ctx, cancel := context.WithCancel(parent)
	go func() { // runs as long as the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}
