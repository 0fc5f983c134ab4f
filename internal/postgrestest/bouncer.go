package postgrestest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Bouncer is PgBouncer in front of a server, in transaction mode.
type Bouncer struct {
	server  *Server
	address string
}

// Bouncer starts PgBouncer, which ends with the test. If PgBouncer is not
// installed, the test is skipped. If LATCHKEY_REQUIRE_SERVERS is 1, the test
// fails instead.
func (s *Server) Bouncer(tb testing.TB) *Bouncer {
	tb.Helper()
	program, err := findBouncer()
	check(tb, err)
	dir, err := os.MkdirTemp("", "pgbouncer")
	check(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	const attempts = 5 // another program may take the port
	for range attempts {
		var p *process
		var address string
		if p, address, err = s.bounce(program, dir); err == nil {
			tb.Cleanup(func() { p.stop(syscall.SIGTERM) })
			return &Bouncer{s, address}
		}
	}
	check(tb, err)
	return nil
}

func findBouncer() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: PgBouncer (Debian: apt-get install pgbouncer)", errMissing)
}

func (s *Server) bounce(program, dir string) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", err
	}
	host, serverPort, err := net.SplitHostPort(s.address)
	if err != nil {
		return nil, "", err
	}
	config := fmt.Sprintf(`[databases]
postgres = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = 20
`, host, serverPort, superuser, s.password, port)
	path := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, "", err
	}
	if user, err := unprivileged(); err != nil {
		return nil, "", err
	} else if user != nil {
		for _, path := range []string{dir, path} {
			if err := os.Chown(path, user.uid, user.gid); err != nil {
				return nil, "", err
			}
		}
	}
	p, err := launch(command(dir, program, path), "process up")
	return p, address, err
}

// URL returns the URL of the server's database behind PgBouncer, with these
// parameters.
func (b *Bouncer) URL(query string) string { return b.server.at(b.address, query) }
