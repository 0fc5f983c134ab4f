package child

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

// Server is a Temporal server for the parent and its children.
// devserver.Connect chooses it.
type Server struct {
	Client client.Client // the parent's

	own  bool // LATCHKEY_SERVER chose the server, and not the TEMPORAL_* environment
	env  []string
	stop func() error
}

// Serve finds or starts the server. Serve writes slow steps to log. The caller
// must call Close.
func Serve(ctx context.Context, log io.Writer) (*Server, error) {
	named, stop, err := devserver.Connect(ctx, devserver.Options{Log: notices{log}})
	if err != nil {
		return nil, err
	}
	s := &Server{stop: stop, own: true}
	if env, found, err := devserver.FromEnv(); err == nil && found && env.HostPort == named.HostPort {
		s.own = false // the children connect in the same way as this process
	} else {
		s.env = []string{"TEMPORAL_ADDRESS=" + named.HostPort, "TEMPORAL_NAMESPACE=" + named.Namespace}
	}
	if s.Client, err = client.DialContext(ctx, silent(named)); err != nil {
		_ = s.stop() // the first error is more useful
		return nil, fmt.Errorf("temporal: %w", err)
	}
	return s, nil
}

// Close closes the client, and ends the server if Serve started it.
func (s *Server) Close() error {
	s.Client.Close()
	return s.stop()
}

// environ returns the environment of a child. Settings for another server do
// not apply to a server that Serve has started.
func (s *Server) environ() []string {
	if s == nil || !s.own {
		return os.Environ()
	}
	others := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TEMPORAL_") })
	return append(others, s.env...)
}

// Dial is called in the child, and connects to the parent's server. The
// returned options are the options of the client.
func Dial(ctx context.Context) (client.Client, client.Options, error) {
	o, _, err := devserver.FromEnv()
	if err != nil {
		return nil, o, err
	}
	o = silent(o)
	c, err := client.DialContext(ctx, o)
	return c, o, err
}

// silent keeps the SDK's log lines out of the output.
func silent(o client.Options) client.Options {
	o.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	return o
}

// notices logs lines that matter to a waiting user, for example that the build
// of the server takes minutes. Other log lines of the server are dropped.
type notices struct{ w io.Writer }

func (n notices) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("devserver: ")) {
		return n.w.Write(b)
	}
	return len(b), nil
}
