// Package devserver runs a real Temporal server on SQLite as a child process,
// for examples and tests.
//
// The server is a separate program, see cmd/temporal-devserver. The server is
// built once, without the race detector, and kept in the user's cache
// directory. The server ends with its parent, can be killed and restarted on
// the same data, and binds only 127.0.0.1.
//
// [Connect] can also use a running server, or the development server of
// Temporal's command line.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
)

// Options configures a server. The zero value is valid.
type Options struct {
	// Server is the server that Connect uses: Auto, CLI, Built or an address.
	// Start ignores it. Defaults to the variable LATCHKEY_SERVER, otherwise to
	// Auto.
	Server string

	// Database is the file that keeps the data. The file is created if it is
	// missing; its directory must exist. Defaults to memory.
	Database string

	// Namespaces are created if they are missing. Defaults to "default".
	Namespaces []string

	// DynamicConfig holds settings of the server by their keys. These settings
	// override those that Latchkey's tests need. A duration is a string such as
	// "2s".
	DynamicConfig map[string]any

	// Env is added to the environment that the server inherits, as
	// "name=value". Defaults to none.
	Env []string

	// Processors are the numbers of the processors on which the server runs,
	// for benchmarks. The numbers have an effect only on Linux. Defaults to the
	// processors of this process.
	Processors []int

	// Log gets the server's errors, and slow steps. Defaults to none.
	Log io.Writer
}

// Server is a Temporal server that runs as a child process. Any goroutine may
// call the methods of a Server, but Stop, Kill, Restart and Collect must not
// run concurrently.
type Server struct {
	options   Options
	program   string
	addresses []string // addresses of frontend, history, matching and worker
	process   *process
}

// attempts is how often a start is retried if its ports are in use.
const attempts = 5

// grace is the time in which a server must stop.
const grace = 5 * time.Minute

// Start builds the server if necessary, and runs it. Start returns when the
// server's namespaces can be used. The context limits only the start. The
// server runs until Stop, Kill or the end of this process.
//
// A first build takes minutes.
func Start(ctx context.Context, o Options) (*Server, error) {
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{"default"}
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	program, err := build(ctx, o.Log)
	if err != nil {
		return nil, fmt.Errorf("devserver: build: %w", err)
	}
	s := &Server{options: o, program: program}
	for range attempts {
		if s.addresses, err = freeAddresses(len(services)); err != nil {
			break
		}
		if s.process, err = s.run(ctx); !errors.Is(err, errAddressInUse) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("devserver: start: %w", err)
	}
	return s, nil
}

// Restart runs the server again, on the same ports and with the same file. A
// running server is stopped first. An in-memory server cannot be restarted.
func (s *Server) Restart(ctx context.Context) error {
	if s.options.Database == "" {
		return errors.New("devserver: restart: the database is in memory")
	}
	if err := s.Stop(); err != nil {
		return err
	}
	var err error
	for range attempts {
		if s.process, err = s.run(ctx); !errors.Is(err, errAddressInUse) {
			break
		}
		// The address of the frontend stays the same; the others may change.
		inner, err := freeAddresses(len(services) - 1)
		if err != nil {
			return fmt.Errorf("devserver: restart: %w", err)
		}
		copy(s.addresses[1:], inner)
	}
	if err != nil {
		return fmt.Errorf("devserver: restart: %w", err)
	}
	return nil
}

// Stop ends the server gracefully. Stop returns an error if the server had to
// be killed, or had already ended. A second Stop, or one after Kill, returns
// nil.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	err := s.process.stop(grace)
	s.process = nil
	if err != nil {
		return fmt.Errorf("devserver: stop: %w", err)
	}
	return nil
}

// Kill ends the server at once with SIGKILL, and waits for its end.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Collect makes the server collect its garbage, and returns when that is done.
// A benchmark can thus exclude the collection from its measurement.
func (s *Server) Collect() error {
	if s.process == nil {
		return errors.New("devserver: collect: the server doesn't run")
	}
	if err := s.process.collect(); err != nil {
		return fmt.Errorf("devserver: collect: %w", err)
	}
	return nil
}

// HostPort returns the address of the frontend. The address does not change
// with a restart.
func (s *Server) HostPort() string {
	return s.addresses[0]
}

// ClientOptions returns the options for dialling the server, in its first
// namespace. On a busy machine, the first call may take longer than the SDK's
// default of five seconds.
func (s *Server) ClientOptions() client.Options {
	return client.Options{
		HostPort: s.HostPort(), Namespace: s.options.Namespaces[0],
		ConnectionOptions: client.ConnectionOptions{GetSystemInfoTimeout: time.Minute},
	}
}

// dynamicConfig returns the settings of every server, overridden by those of the
// caller.
func (s *Server) dynamicConfig() map[string]any {
	settings := map[string]any{
		// By default, the server does not allow pause, reset and similar
		// commands for standalone activities.
		"history.enableStandaloneActivityOperatorCommands": true,
		// A small server needs only one partition instead of four.
		"matching.numTaskqueueReadPartitions":  1,
		"matching.numTaskqueueWritePartitions": 1,
	}
	for key, value := range s.options.DynamicConfig {
		settings[strings.TrimSpace(key)] = value
	}
	return settings
}
