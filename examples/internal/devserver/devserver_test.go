package devserver_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// If the environment contains helper, the test binary is a program that starts
// a server, prints its address, and does nothing more.
const helper = "LATCHKEY_DEVSERVER_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helper) {
	case "":
		os.Exit(m.Run())
	case fakeCLI:
		fakeTemporal(os.Args[1:])
	}
	o, _, err := devserver.Connect(context.Background(), devserver.Options{Server: os.Getenv(helper), Log: os.Stderr})
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(o.HostPort + "\n")
	select {}
}

func start(t *testing.T, o devserver.Options) *devserver.Server {
	t.Helper()
	if o.Log == nil {
		o.Log = t.Output()
	}
	s, err := devserver.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func dial(t *testing.T, s *devserver.Server) client.Client {
	t.Helper()
	o := s.ClientOptions()
	o.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.Dial(o)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// wait is a workflow that returns the value of its signal.
func wait(ctx workflow.Context) (string, error) {
	var word string
	workflow.GetSignalChannel(ctx, "word").Receive(ctx, &word)
	return word, nil
}

func withWait(r worker.Registry) { r.RegisterWorkflow(wait) }

func TestTwoServersAtOnce(t *testing.T) {
	t.Parallel()
	var (
		servers [2]*devserver.Server
		errs    [2]error
		wg      sync.WaitGroup
	)
	for i := range servers {
		wg.Go(func() {
			servers[i], errs[i] = devserver.Start(t.Context(), devserver.Options{Namespaces: []string{"first", "second"}})
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	var runs [2]client.WorkflowRun
	for i, s := range servers {
		c := dial(t, s)
		if !strings.HasPrefix(s.HostPort(), "127.0.0.1:") {
			t.Errorf("host and port %s, want them on 127.0.0.1", s.HostPort())
		}
		if namespace := s.ClientOptions().Namespace; namespace != "first" {
			t.Errorf("namespace %q, want the first", namespace)
		}
		r := rig.New(t, rig.Options{Client: c, Namespace: "first", Register: withWait})
		runs[i] = r.Start(wait)
		for _, name := range []string{"first", "second"} {
			if _, err := r.Service().DescribeNamespace(r.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: name}); err != nil {
				t.Errorf("namespace %s: %v", name, err)
			}
		}
	}
	_, err := dial(t, servers[1]).DescribeWorkflowExecution(rig.Context(t), runs[0].GetID(), "")
	if _, ok := errors.AsType[*serviceerror.NotFound](err); !ok {
		t.Errorf("one server's workflow on the other: %v, want not found", err)
	}
	for _, s := range servers {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("second stop: %v, want nil", err)
		}
	}
}

func TestDynamicConfig(t *testing.T) {
	t.Parallel()
	s := start(t, devserver.Options{DynamicConfig: map[string]any{"limit.maxIDLength": 40}})
	_, err := dial(t, s).ExecuteWorkflow(rig.Context(t), client.StartWorkflowOptions{ID: strings.Repeat("x", 41), TaskQueue: "q"}, wait)
	if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); !ok {
		t.Errorf("an ID over the limit set: %v, want an invalid argument", err)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, s *devserver.Server){
		"killed": func(_ *testing.T, s *devserver.Server) { s.Kill() },
		"stopped": func(t *testing.T, s *devserver.Server) {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		},
		"running": func(*testing.T, *devserver.Server) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, devserver.Options{Database: filepath.Join(t.TempDir(), "temporal.db")})
			r := rig.New(t, rig.Options{Client: dial(t, s), Register: withWait})
			before := s.HostPort()
			run := r.Start(wait)

			end(t, s)
			if err := s.Restart(r.Context()); err != nil {
				t.Fatal(err)
			}
			if s.HostPort() != before {
				t.Errorf("restarted on %s, want %s", s.HostPort(), before)
			}
			// The client and the worker from before the restart still work.
			if err := r.Client.SignalWorkflow(r.Context(), run.GetID(), run.GetRunID(), "word", "still here"); err != nil {
				t.Fatalf("signal after the restart: %v", err)
			}
			var word string
			if err := run.Get(r.Context(), &word); err != nil || word != "still here" {
				t.Errorf("workflow after the restart: %q, %v, want it to go on", word, err)
			}
		})
	}
}

func TestRestartInMemory(t *testing.T) {
	t.Parallel()
	s := start(t, devserver.Options{})
	if err := s.Restart(t.Context()); err == nil {
		t.Error("restart of a server in memory: nil, want an error")
	}
}

// The log gets the runtime's trace, which calls a requested collection
// "forced".
func TestCollect(t *testing.T) {
	t.Parallel()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	s := start(t, devserver.Options{Env: []string{"GOGC=off", "GODEBUG=gctrace=1"}, Log: log})
	for n := range 3 {
		if err := s.Collect(); err != nil {
			t.Fatal(err)
		}
		rig.Eventually(t, "the collection in the log", func() bool {
			b, err := os.ReadFile(log.Name())
			return err == nil && strings.Count(string(b), "(forced)") == n+1
		})
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.Collect(); err == nil {
		t.Error("collection in a server that was stopped: nil, want an error")
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent", "temporal.db")
	if s, err := devserver.Start(t.Context(), devserver.Options{Database: absent}); err == nil {
		s.Kill()
		t.Error("a file in a directory that isn't there: nil, want an error")
	} else if !strings.Contains(err.Error(), "ended early") || !strings.Contains(err.Error(), "database") {
		t.Errorf("a file in a directory that isn't there: %v, want what the server said", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := devserver.Start(ctx, devserver.Options{}); !errors.Is(err, context.Canceled) {
		s.Kill()
		t.Errorf("a context that has ended: %v, want its error", err)
	}
}

// listens reports whether a server listens on an address.
func listens(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// A parent that is killed leaves no process behind.
func TestEndsWithParent(t *testing.T) {
	t.Parallel()
	for _, server := range []string{devserver.Built, devserver.CLI} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			parent := exec.Command(self)
			parent.Env = append(os.Environ(), helper+"="+server)
			if server == devserver.CLI {
				parent.Env = append(parent.Env, "PATH="+pathWith(newFakeCLI(t)))
			}
			parent.Stderr = t.Output()
			stdout, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			address, err := bufio.NewReader(stdout).ReadString('\n')
			t.Cleanup(func() { _, _ = parent.Process.Kill(), parent.Wait() })
			if err != nil {
				t.Fatalf("address of the helper's server: %v", err)
			}
			c, err := client.Dial(client.Options{HostPort: strings.TrimSpace(address)})
			if err != nil {
				t.Fatalf("server of the helper: %v", err)
			}
			c.Close()

			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			rig.Eventually(t, "the server to end with its parent", func() bool {
				return !listens(strings.TrimSpace(address))
			})
		})
	}
}
