// Package postgrestest runs a PostgreSQL server for tests, and PgBouncer in
// front of it. The server syncs each write. The programs are Debian's and
// refuse to run as root. If root runs the tests, the programs run as another
// user. The package imports no driver, so that every module can use it.
//
//	var server postgrestest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
//
//	func TestX(t *testing.T) { url := server.Server(t).URL("") … }
package postgrestest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// Server is a PostgreSQL server on loopback with a directory of its own. Only
// one goroutine may call the methods of a Server.
type Server struct {
	bin      string // directory of the programs, with a separator at the end
	dir      string
	password string
	address  string
	process  *process
}

const superuser = "latchkey"

// errMissing means that a program is not installed.
var errMissing = errors.New("a server is not installed")

// Start starts a server, which ends with the test. If PostgreSQL is not
// installed, the test is skipped. If LATCHKEY_REQUIRE_SERVERS is 1, the test
// fails instead.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := start()
	check(tb, err)
	tb.Cleanup(s.remove)
	return s
}

func check(tb testing.TB, err error) {
	tb.Helper()
	missing := errors.Is(err, errMissing)
	switch {
	case missing && os.Getenv("LATCHKEY_REQUIRE_SERVERS") != "1":
		tb.Skipf("NOT TESTED: %v", err)
	case missing:
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
	// This is not the test's own directory, because another user cannot enter
	// that. The name is short, because the path of a socket has at most about a
	// hundred bytes.
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

// programs returns the directory of the server's programs, which Debian does
// not put into the path. If there are several releases, programs returns the
// newest one.
func programs() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err != nil { // other programs may have no link
			return "", err
		}
		return filepath.Dir(path) + string(filepath.Separator), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%w: PostgreSQL (Debian: apt-get install postgresql)", errMissing)
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
			if err := os.Chown(path, user.uid, user.gid); err != nil {
				return err
			}
		}
	}
	initdb := s.command("initdb", "--pgdata=data", "--username="+superuser, "--auth=scram-sha-256",
		"--pwfile=password", "--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s.run()
}

// command returns one of the server's programs, in the server's directory.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	return command(s.dir, s.bin+name, args...)
}

// run starts the server on a free port. Another program may take the port
// first.
func (s *Server) run() (err error) {
	const attempts = 5
	for range attempts {
		if err = s.listen(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) listen() (err error) {
	if s.address == "" { // a restart keeps its address
		if s.address, err = freeAddress(); err != nil {
			return err
		}
	}
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	cmd := s.command("postgres", "-D", "data", "-h", "127.0.0.1", "-p", port, "-k", s.dir,
		"-c", "fsync=on", "-c", "max_connections=200", "-c", "shared_buffers=64MB")
	s.process, err = launch(cmd, "ready to accept connections")
	if err != nil {
		s.address = ""
	}
	return err
}

func (s *Server) remove() {
	// the server ends immediately: it does not wait for clients, and writes no
	// checkpoint
	s.process.stop(syscall.SIGQUIT)
	_ = os.RemoveAll(s.dir)
}

// Crash ends the server as a loss of power would, except that the operating
// system keeps its buffers. Crash then starts the server again at the same
// address, and the server recovers from its write-ahead log.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	s.process.stop(syscall.SIGQUIT)
	if err := s.run(); err != nil {
		tb.Fatalf("postgres, started again: %v", err)
	}
}

// Dump returns the output of pg_dump for a schema, as text.
func (s *Server) Dump(tb testing.TB, schema string) []byte {
	tb.Helper()
	cmd := s.command("pg_dump", "--schema="+schema, "--dbname="+s.URL(""))
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("pg_dump: %v\n%s", err, failure.String())
	}
	return out
}

// URL returns the URL of the server's database, for its superuser, with these
// parameters.
func (s *Server) URL(query string) string { return s.at(s.address, query) }

func (s *Server) at(address, query string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: address, Path: "/postgres", RawQuery: query}
	return u.String()
}

// Shared is a server that starts with the first test that needs it, and ends with
// the package's tests. The zero value is ready to use.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs the tests and ends the server. Main returns the exit code.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	if s.server != nil {
		s.server.remove()
	}
	return code
}

// Server returns the server. If PostgreSQL is not installed, the test is
// skipped. If LATCHKEY_REQUIRE_SERVERS is 1, the test fails instead.
func (s *Shared) Server(tb testing.TB) *Server {
	tb.Helper()
	s.once.Do(func() { s.server, s.err = start() })
	check(tb, s.err)
	return s.server
}
