package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"

	"go.temporal.io/sdk/client"
)

// Values of Options.Server. Any other value is an address, such as
// "localhost:7233".
const (
	Auto  = "auto"  // the environment's server, otherwise CLI if it is installed, otherwise Built
	CLI   = "cli"   // the development server of the temporal command
	Built = "built" // the server of this module, built from source at first use
)

// ServerUsage describes a command-line flag that sets Options.Server.
const ServerUsage = "Temporal `server` to use: auto, cli (temporal server start-dev), built (from source, at first use), or an address such as localhost:7233; auto uses the server that TEMPORAL_* variables name, otherwise cli if the temporal command is installed, otherwise built"

// serverVariable sets Options.Server if the program does not.
const serverVariable = "LATCHKEY_SERVER"

// Connect returns the options for dialling a server. Options.Server chooses the
// server. Connect starts a server for CLI and Built, which Auto may choose, and
// never starts a server at a given address. The caller must call stop when it
// no longer needs the server. A server that was already running keeps running.
func Connect(ctx context.Context, o Options) (options client.Options, stop func() error, err error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{"default"}
	}
	choice := o.Server
	if choice == "" {
		choice = os.Getenv(serverVariable)
	}
	if choice == "" || choice == Auto {
		options, found, err := FromEnv()
		if err != nil || found {
			return options, func() error { return nil }, err
		}
		choice = automatic(o)
	}
	switch choice {
	case CLI:
		return startCLI(ctx, o)
	case Built:
		s, err := Start(ctx, o)
		if err != nil {
			return client.Options{}, nil, err
		}
		return s.ClientOptions(), s.Stop, nil
	}
	if _, _, err := net.SplitHostPort(choice); err != nil {
		return client.Options{}, nil, fmt.Errorf("devserver: server must be %s, %s, %s or an address with a port, got %q", Auto, CLI, Built, choice)
	}
	return client.Options{HostPort: choice, Namespace: o.Namespaces[0]}, func() error { return nil }, nil
}

// automatic chooses one of the two servers that can be started. A database
// stays with the kind of server that created it, because the schemas may
// differ.
func automatic(o Options) string {
	if o.Database != "" {
		switch {
		case exists(o.Database):
			return Built
		case exists(cliDatabase(o.Database)):
			return CLI
		}
	}
	if _, err := exec.LookPath(cliCommand); err == nil {
		return CLI
	}
	return Built
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, os.ErrNotExist)
}
