package postgrestest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a running server. A nil process has ended.
type process struct {
	process *os.Process
	done    chan struct{} // closed when the process has ended
}

// command returns a program that runs in a directory. If this process runs as
// root, the program runs as another user.
func command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	user, _ := unprivileged() // create has already checked the user
	runAs(cmd.SysProcAttr, user)
	return cmd
}

// launch starts a server, and returns when the server writes the text to its
// standard error.
func launch(cmd *exec.Cmd, ready string) (*process, error) {
	dieWithParent(cmd.SysProcAttr)
	name := filepath.Base(cmd.Path)
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	started, up, done := make(chan error), make(chan struct{}), make(chan struct{})
	var said strings.Builder // read after done
	go func() {
		// Linux ends the server when the thread that started it ends. Go ends a
		// thread only with a goroutine that is locked to it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), ready) {
				close(up)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p := &process{cmd.Process, done}
	timer := time.NewTimer(5 * time.Minute)
	defer timer.Stop()
	select {
	case <-up:
		return p, nil
	case <-done:
		return nil, fmt.Errorf("%s has ended at once:\n%s", name, said.String())
	case <-timer.C:
		p.stop(syscall.SIGKILL)
		return nil, errors.New(name + " takes no connections")
	}
}

// stop sends a signal, and waits for the end.
func (p *process) stop(signal os.Signal) {
	if p == nil {
		return
	}
	_ = p.process.Signal(signal)
	<-p.done
}

// freeAddress returns an address on loopback that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
