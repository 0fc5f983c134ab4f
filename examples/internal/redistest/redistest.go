// Package redistest runs a Redis server for tests. The server syncs each write.
package redistest

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Start starts a redis-server as New does, and returns its URL.
func Start(tb testing.TB) (url string) {
	tb.Helper()
	return New(tb).URL()
}

// Server is a redis-server. Only one goroutine may use a Server.
type Server struct {
	tb            testing.TB
	path, address string
	dir           string
	kill          func() // nil if the server is not running
}

// New starts a redis-server on loopback, with a directory of its own and
// appendfsync always. The server ends with the test. If redis-server is not
// installed, the test is skipped. If LATCHKEY_REQUIRE_SERVERS is 1, the test
// fails instead.
func New(tb testing.TB) *Server {
	tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			tb.Fatal("redis-server is not installed, and LATCHKEY_REQUIRE_SERVERS is 1")
		}
		tb.Skip("NOT TESTED: redis-server is not installed (Debian: apt-get install redis-server)")
	}
	s := &Server{tb: tb, path: path, dir: tb.TempDir()}
	tb.Cleanup(s.Kill)
	const attempts = 5 // another process may have taken the port
	for range attempts {
		s.address = freeAddress(tb)
		if s.start() {
			return s
		}
	}
	tb.Fatalf("redis-server ended at its start, %d times", attempts)
	return nil
}

// URL returns the URL for opening a store.
func (s *Server) URL() string { return "redis://" + s.address + "/0" }

// Kill ends the server with SIGKILL if it is running.
func (s *Server) Kill() {
	if s.kill != nil {
		s.kill()
		s.kill = nil
	}
}

// Restart starts the server again after Kill, with its data and its address.
func (s *Server) Restart() {
	s.tb.Helper()
	if !s.start() {
		s.tb.Errorf("redis-server ended at its restart on %s", s.address)
	}
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the server, and reports whether it accepts connections.
func (s *Server) start() bool {
	s.tb.Helper()
	_, port, _ := net.SplitHostPort(s.address)
	cmd := exec.Command(s.path, "--port", port, "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}()
	kill := func() {
		_ = cmd.Process.Kill()
		<-done
	}
	timer := time.NewTimer(5 * time.Minute)
	defer timer.Stop()
	select {
	case <-ready:
		s.kill = kill
		return true
	case <-done:
		return false
	case <-timer.C:
		kill()
		s.tb.Fatal("redis-server accepts no connections after five minutes")
		return false
	}
}
