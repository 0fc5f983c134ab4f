package redis_test

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// program returns the path of one of Redis's programs. If the program is
// missing, the test is skipped. If the environment requires the program, the
// test fails instead.
func program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
		tb.Fatalf("%s is not installed, and LATCHKEY_REQUIRE_SERVERS is 1", name)
	}
	tb.Skipf("NOT TESTED ON A REAL SERVER: %s is not installed (Debian: apt-get install redis-server)", name)
	return ""
}

// server is a redis-server on loopback with a directory of its own.
type server struct {
	tb   testing.TB
	addr string
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// startServer starts a server that stops at the end of the test.
func startServer(tb testing.TB, args ...string) *server {
	tb.Helper()
	port := freePort(tb)
	s := &server{
		tb: tb, addr: net.JoinHostPort("127.0.0.1", port),
		args: append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", tb.TempDir(), "--save", "", "--enable-debug-command", "yes"}, args...),
	}
	s.start()
	tb.Cleanup(s.kill)
	return s
}

// start starts the process and returns when it accepts connections.
func (s *server) start() {
	s.tb.Helper()
	s.cmd = exec.Command(program(s.tb, "redis-server"), s.args...)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.tb.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	ready, done := make(chan struct{}), make(chan struct{})
	s.done = done
	cmd := s.cmd
	var log strings.Builder
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for open := false; lines.Scan(); {
			if !open && (strings.Contains(lines.Text(), "Ready to accept connections") || strings.Contains(lines.Text(), "+monitor")) {
				open = true
				close(ready)
			}
			if !open {
				log.WriteString(lines.Text() + "\n")
			}
		}
		io.Copy(io.Discard, out)
		cmd.Wait()
	}()
	select {
	case <-ready:
	case <-done:
		s.tb.Fatalf("redis-server %v ended at once:\n%s", s.args, log.String())
	case <-time.After(5 * time.Minute):
		s.tb.Fatalf("redis-server %v takes no connections after five minutes", s.args)
	}
}

// kill ends the process with SIGKILL.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// client returns a client without go-redis's pauses.
func (s *server) client(tb testing.TB) *redis.Client {
	return newClient(tb, &redis.Options{Addr: s.addr})
}

// stall is how long a server may be silent. The default of go-redis is 3 s.
// After a timeout, go-redis sends a command again, and a second claim does not
// return the entries that the first one took.
const stall = 5 * time.Minute

// stallInURL has the parameters for stall in a URL.
const stallInURL = "read_timeout=5m&write_timeout=5m&dial_timeout=5m"

func newClient(tb testing.TB, o *redis.Options) *redis.Client {
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	if o.ReadTimeout == 0 {
		o.ReadTimeout = stall
	}
	o.WriteTimeout, o.DialTimeout = stall, stall
	o.MinRetryBackoff, o.MaxRetryBackoff = time.Millisecond, 8*time.Millisecond
	c := redis.NewClient(o)
	tb.Cleanup(func() { c.Close() })
	return c
}

var ports sync.Map // ports that freePort has returned

// freePort returns a port of the loopback interface without a listener. The
// port is below those that systems give to connections and to listeners on port
// 0. Otherwise another program could take the port before the server listens,
// or while it restarts.
func freePort(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		port := 15_000 + rand.IntN(15_000)
		if _, given := ports.LoadOrStore(port, true); given {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close()
			return strconv.Itoa(port)
		}
	}
	tb.Fatal("no port of 1,000 is free")
	return ""
}

// await polls the server until ok returns true.
func (s *server) await(what string, ask func(c *redis.Client) (bool, error)) {
	s.tb.Helper()
	c := s.client(s.tb)
	defer c.Close()
	eventually(s.tb, what, func() bool {
		yes, err := ask(c)
		return yes && err == nil
	})
}

// eventually polls until ok returns true.
func eventually(tb testing.TB, what string, ask func() bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(5 * time.Minute)
	for !ask() {
		select {
		case <-tick.C:
		case <-timeout:
			tb.Fatalf("after five minutes: still not %s", what)
		}
	}
}

// soak reports whether the long versions of tests are requested.
func soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }
