package devserver_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

const (
	fakeCLI      = "fake temporal command" // a value of helper
	fakeArgsFile = "LATCHKEY_FAKE_ARGS"    // the file to which it writes its arguments, one a line
)

// namespaces is a server that only knows namespaces, and says that each one
// exists.
type namespaces struct {
	workflowservice.UnimplementedWorkflowServiceServer
}

func (namespaces) DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	return new(workflowservice.DescribeNamespaceResponse), nil
}

func (namespaces) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return new(workflowservice.GetSystemInfoResponse), nil
}

// fakeTemporal is the program of the fake temporal command. It never returns.
func fakeTemporal(args []string) {
	value := func(flag string) string { return args[slices.Index(args, flag)+1] }
	if file := os.Getenv(fakeArgsFile); file != "" {
		_ = os.WriteFile(file, []byte(strings.Join(args, "\n")), 0o600) // if this fails, the test finds no file
	}
	if slices.Contains(args, "unwilling") {
		fmt.Fprintln(os.Stderr, "no such namespace can be created")
		os.Exit(1)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(value("--ip"), value("--port")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s := grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(s, namespaces{})
	_ = s.Serve(l) // runs until the process is killed
	os.Exit(1)
}

// newFakeCLI returns a directory with a temporal command.
func newFakeCLI(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake temporal command is a shell script")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", helper, fakeCLI, self)
	if err := os.WriteFile(filepath.Join(dir, "temporal"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func pathWith(dir string) string { return dir + string(os.PathListSeparator) + os.Getenv("PATH") }

// TestConnectCLI: a temporal command in the path is used unless another server
// is named.
func TestConnectCLI(t *testing.T) {
	args := filepath.Join(t.TempDir(), "args")
	setenv(t, map[string]string{"PATH": pathWith(newFakeCLI(t)), fakeArgsFile: args})
	database := filepath.Join(t.TempDir(), "temporal.db")
	o, stop, err := devserver.Connect(t.Context(), devserver.Options{
		Database: database, Namespaces: []string{"default", "second"}, DynamicConfig: map[string]any{"a.b": "2s"}, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Namespace != "default" || !listens(o.HostPort) {
		t.Errorf("connected to %s in %q, want a server in the namespace default", o.HostPort, o.Namespace)
	}
	_, port, _ := net.SplitHostPort(o.HostPort)
	want := []string{
		"server", "start-dev", "--headless", "--log-level", "error", "--ip", "127.0.0.1", "--port", port,
		"--namespace", "second", "--db-filename", database + ".cli", "--dynamic-config-value", `a.b="2s"`,
	}
	if got, err := os.ReadFile(args); err != nil || strings.Join(want, "\n") != string(got) {
		t.Errorf("the temporal command got (%v):\n%s\nwant:\n%s", err, got, strings.Join(want, "\n"))
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if listens(o.HostPort) {
		t.Error("the server still listens after stop")
	}
}

// TestConnectCLIFails: the error contains the output of the temporal command.
func TestConnectCLIFails(t *testing.T) {
	setenv(t, map[string]string{"PATH": pathWith(newFakeCLI(t))})
	_, _, err := devserver.Connect(t.Context(), devserver.Options{Server: devserver.CLI, Namespaces: []string{"unwilling"}})
	if err == nil || !strings.Contains(err.Error(), "no such namespace can be created") {
		t.Errorf("a command that ends at once: %v, want what it printed", err)
	}
}

// TestConnectChoice: Options.Server overrides LATCHKEY_SERVER, and both
// override the path.
func TestConnectChoice(t *testing.T) {
	for name, c := range map[string]struct {
		server, variable, path, temporalAddress string
		want                                    string // part of the address, or of the error
	}{
		"address":                    {server: "elsewhere.test:7233", path: "fake", temporalAddress: "here.test:1", want: "elsewhere.test:7233"},
		"address in the variable":    {variable: "elsewhere.test:7233", path: "fake", want: "elsewhere.test:7233"},
		"option before the variable": {server: "one.test:1", variable: "two.test:2", want: "one.test:1"},
		"auto, an address named":     {server: devserver.Auto, path: "fake", temporalAddress: "here.test:1", want: "here.test:1"},
		"no port":                    {server: "elsewhere", want: `must be auto, cli, built or an address with a port, got "elsewhere"`},
		"cli that is not installed":  {server: devserver.CLI, path: "none", want: "install the Temporal CLI, or choose another server"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"LATCHKEY_SERVER": c.variable, "TEMPORAL_ADDRESS": c.temporalAddress}
			switch c.path {
			case "fake":
				env["PATH"] = pathWith(newFakeCLI(t))
			case "none":
				env["PATH"] = t.TempDir()
			}
			setenv(t, env)
			o, _, err := devserver.Connect(t.Context(), devserver.Options{Server: c.server})
			if got := o.HostPort + fmt.Sprint(err); !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
