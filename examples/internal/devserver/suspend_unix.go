//go:build unix

package devserver

import (
	"errors"
	"fmt"
	"syscall"
)

// Suspend stops the server's process with SIGSTOP: its connections stay open,
// and its calls hang until Resume.
func (s *Server) Suspend() error { return s.signal("suspend", syscall.SIGSTOP) }

// Resume lets a suspended server continue.
func (s *Server) Resume() error { return s.signal("resume", syscall.SIGCONT) }

func (s *Server) signal(what string, sig syscall.Signal) error {
	err := errors.New("the server doesn't run")
	if s.process != nil {
		err = s.process.cmd.Process.Signal(sig)
	}
	if err != nil {
		return fmt.Errorf("devserver: %s: %w", what, err)
	}
	return nil
}
