// Package devtest shares one Temporal server between the tests of a package.
//
//	var server devtest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
//
//	func TestX(t *testing.T) { c := server.Client(t) … }
package devtest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

// Shared is a server in memory that starts with the first test that needs it,
// and ends with the package's tests. The zero value is ready to use. Any
// goroutine may call the methods of a Shared.
type Shared struct {
	// Options are the options of the server. Options must be set before the
	// tests begin.
	Options devserver.Options

	once   sync.Once
	server *devserver.Server
	client client.Client
	err    error
}

// parallel is the number of tests that run at once, unless the command line
// sets it. The tests mostly wait for the server's timers.
const parallel = 16

// Main runs the tests and ends the server. Main returns the exit code, which is
// 1 if the server did not end properly.
func (s *Shared) Main(m *testing.M) int {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(parallel)) // an integer cannot fail
	}
	code := m.Run()
	if s.client != nil {
		s.client.Close()
	}
	if s.server != nil {
		if err := s.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// Server returns the server. If the server cannot be built or started, this
// test fails, and so does each later test that needs it.
func (s *Shared) Server(t testing.TB) *devserver.Server {
	t.Helper()
	s.start()
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

// Client returns a client in the server's first namespace, with the SDK's
// defaults. The client is shared: do not close it.
func (s *Shared) Client(t testing.TB) client.Client {
	t.Helper()
	s.Server(t)
	return s.client
}

// Dial returns a client for one test, which ends with the test. Dial sets the
// address in the options. Dial also sets the namespace, the logger and the
// timeout of the first call if they are not set.
func (s *Shared) Dial(t testing.TB, o client.Options) client.Client {
	t.Helper()
	c, err := client.Dial(complete(s.Server(t), o))
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// start starts the server once. The context belongs to no test, because the
// server outlives the first test.
func (s *Shared) start() {
	s.once.Do(func() {
		if s.Options.Log == nil {
			s.Options.Log = os.Stderr
		}
		if s.server, s.err = devserver.Start(context.Background(), s.Options); s.err == nil {
			s.client, s.err = client.Dial(complete(s.server, client.Options{}))
		}
	})
}

func complete(s *devserver.Server, o client.Options) client.Options {
	defaults := s.ClientOptions()
	o.HostPort = defaults.HostPort
	if o.ConnectionOptions.GetSystemInfoTimeout == 0 {
		o.ConnectionOptions.GetSystemInfoTimeout = defaults.ConnectionOptions.GetSystemInfoTimeout
	}
	if o.Namespace == "" {
		o.Namespace = defaults.Namespace
	}
	if o.Logger == nil {
		o.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	}
	return o
}
