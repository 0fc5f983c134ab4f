// Package redistest runs a Redis server for tests, which syncs each write.
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

// Start starts a redis-server on loopback, with a directory of its own and
// appendfsync always, and returns the URL to open a store with. The server
// ends with the test. Where it isn't installed the test is skipped, or fails
// where LATCHKEY_REQUIRE_SERVERS is 1.
func Start(tb testing.TB) (url string) {
	tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			tb.Fatal("redis-server is not installed, and LATCHKEY_REQUIRE_SERVERS is 1")
		}
		tb.Skip("NOT TESTED: redis-server is not installed (Debian: apt-get install redis-server)")
	}
	const attempts = 5 // somebody else may have taken the port
	for range attempts {
		if url = start(tb, path); url != "" {
			return url
		}
	}
	tb.Fatalf("redis-server has ended at once, %d times", attempts)
	return ""
}

func start(tb testing.TB, path string) (url string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--dir", tb.TempDir(),
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
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
	select {
	case <-ready:
		tb.Cleanup(kill)
		return "redis://" + address + "/0"
	case <-done:
		return ""
	case <-time.After(5 * time.Minute):
		kill()
		tb.Fatal("redis-server takes no connections after five minutes")
		return ""
	}
}
