// Package postgrestest runs a PostgreSQL server for tests, which syncs each
// write. The server's programs are those of Debian, and never run as root,
// which they refuse.
//
//	var server postgrestest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
//
//	func TestX(t *testing.T) { url := server.Schema(t) … }
package postgrestest

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server on loopback, with a folder of its own. Its
// methods are for one goroutine.
type Server struct {
	bin      string // where the programs are; ends in a separator
	dir      string
	password string
	address  string
	process  *os.Process
	done     chan struct{} // closed when the process has ended
}

// errMissing means that PostgreSQL isn't installed.
var errMissing = errors.New("PostgreSQL is not installed (Debian: apt-get install postgresql)")

// Start starts a server, which ends with the test. Where PostgreSQL isn't
// installed the test is skipped, or fails where LATCHKEY_REQUIRE_SERVERS is 1.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := start()
	check(tb, err)
	tb.Cleanup(s.remove)
	return s
}

func check(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case errors.Is(err, errMissing) && os.Getenv("LATCHKEY_REQUIRE_SERVERS") != "1":
		tb.Skipf("NOT TESTED: %v", err)
	case errors.Is(err, errMissing):
		tb.Fatalf("%v, and LATCHKEY_REQUIRE_SERVERS is 1", err)
	case err != nil:
		tb.Fatal(err)
	}
}

func start() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	// Not the test's own folder: another user has no way into that one. The
	// name is short, since a socket's path is a hundred bytes at most.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, password: rand.Text()}
	if err := s.create(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// programs returns the folder of the server's programs, which Debian keeps out
// of the path. Of several releases it is the newest.
func programs() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path) + string(filepath.Separator), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errMissing
	}
	longer := func(a, b string) int { return len(a) - len(b) } // 9.6 comes before 15
	slices.Sort(found)
	slices.SortStableFunc(found, longer)
	return filepath.Dir(found[len(found)-1]) + string(filepath.Separator), nil
}

func (s *Server) create() error {
	user, err := unprivileged()
	if err != nil {
		return err
	}
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if user != nil {
		for _, path := range []string{s.dir, password} {
			if err := os.Chown(path, int(user.Uid), int(user.Gid)); err != nil {
				return err
			}
		}
	}
	initdb := s.command("initdb", "--pgdata=data", "--username=latchkey", "--auth=scram-sha-256",
		"--pwfile=password", "--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s.run()
}

// command is one of the server's programs, in the server's folder, as another
// user where this is root.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.bin+name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	cmd.SysProcAttr.Credential, _ = unprivileged() // create has looked
	return cmd
}

// run starts the server on a free port. Somebody else may take the port first.
func (s *Server) run() (err error) {
	const attempts = 5
	for range attempts {
		if err = s.listen(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) listen() error {
	if s.address == "" { // else it starts again, where it was
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.address = l.Addr().String()
		if err := l.Close(); err != nil {
			return err
		}
	}
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	cmd := s.command("postgres", "-D", "data", "-h", "127.0.0.1", "-p", port, "-k", s.dir,
		"-c", "fsync=on", "-c", "max_connections=200", "-c", "shared_buffers=64MB")
	dieWithParent(cmd.SysProcAttr)
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	started, ready, done := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		// Linux ends the server with the thread that started it, and Go ends a
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
			if strings.Contains(lines.Text(), "ready to accept connections") {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.done = cmd.Process, done
	timer := time.NewTimer(5 * time.Minute)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-done:
		s.address, s.process = "", nil
		return errors.New("postgres has ended at once")
	case <-timer.C:
		s.stop(syscall.SIGKILL)
		return errors.New("postgres takes no connections after five minutes")
	}
}

// stop ends the server: at once, without a word to its clients and without a
// checkpoint, on SIGQUIT.
func (s *Server) stop(signal os.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Signal(signal)
	<-s.done
	s.process = nil
}

func (s *Server) remove() {
	s.stop(syscall.SIGQUIT)
	_ = os.RemoveAll(s.dir)
}

// Crash ends the server as a loss of power would, but for what the operating
// system holds, and starts it again at the same address. It recovers from its
// log of writes.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	s.stop(syscall.SIGQUIT)
	if err := s.run(); err != nil {
		tb.Fatalf("postgres, started again: %v", err)
	}
}

// Schema makes a schema of its own, and returns the URL of a store in it.
func (s *Server) Schema(tb testing.TB) string {
	tb.Helper()
	schema := "s" + strings.ToLower(rand.Text())
	conn := s.Connect(tb)
	if _, err := conn.Exec(tb.Context(), "CREATE SCHEMA "+schema); err != nil {
		tb.Fatalf("CREATE SCHEMA: %v", err)
	}
	return s.url("search_path=" + schema)
}

// Connect returns a connection of a superuser, which ends with the test.
func (s *Server) Connect(tb testing.TB) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.url(""))
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *Server) url(query string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("latchkey", s.password), Host: s.address, Path: "/postgres", RawQuery: query}
	return u.String()
}

// Shared is a server that starts with the first test that asks for it, and
// ends with the package's tests. The zero value is ready to use.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs the tests and ends the server. It returns the exit code.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	if s.server != nil {
		s.server.remove()
	}
	return code
}

// Server returns the server. Where PostgreSQL isn't installed the test is
// skipped, or fails where LATCHKEY_REQUIRE_SERVERS is 1.
func (s *Shared) Server(tb testing.TB) *Server {
	tb.Helper()
	s.once.Do(func() { s.server, s.err = start() })
	check(tb, s.err)
	return s.server
}

// Schema makes a schema of its own on the server, and returns the URL of a
// store in it.
func (s *Shared) Schema(tb testing.TB) string {
	tb.Helper()
	return s.Server(tb).Schema(tb)
}
