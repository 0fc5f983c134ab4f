package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

const cliCommand = "temporal"

// cliDatabase returns the file in which the CLI's server keeps its data, for a
// database that was named for the built server.
func cliDatabase(database string) string { return database + ".cli" }

// supervise is a shell program that ends the server when its parent ends in any
// way. supervise sends SIGTERM to the server when its own standard input is
// closed. The arguments of supervise are the command line of the server.
const supervise = `exec 3<&0
"$@" 3<&- </dev/null &
server=$!
{ cat <&3; kill "$server"; } >/dev/null 2>&1 &
wait "$server"
status=$?
kill $! 2>/dev/null
exit $status`

// startCLI runs "temporal server start-dev" on a free port, and returns when its
// namespaces can be used.
func startCLI(ctx context.Context, o Options) (client.Options, func() error, error) {
	fail := func(err error) (client.Options, func() error, error) {
		return client.Options{}, nil, fmt.Errorf("devserver: temporal server start-dev: %w", err)
	}
	program, err := exec.LookPath(cliCommand)
	if err != nil {
		return fail(fmt.Errorf("%w; install the Temporal CLI, or choose another server", err))
	}
	for range attempts {
		var addresses []string
		if addresses, err = freeAddresses(1); err != nil {
			break
		}
		var p *process
		if p, err = runCLI(ctx, program, addresses[0], o); err == nil {
			stop := func() error {
				err := p.stop(grace)
				if _, ended := errors.AsType[*exec.ExitError](err); ended {
					return nil // the status after SIGTERM does not matter
				}
				return err
			}
			return client.Options{HostPort: addresses[0], Namespace: o.Namespaces[0]}, stop, nil
		}
		if !errors.Is(err, errAddressInUse) {
			break
		}
	}
	return fail(err)
}

func runCLI(ctx context.Context, program, address string, o Options) (*process, error) {
	args, err := cliArguments(address, o)
	if err != nil {
		return nil, err
	}
	p := &process{done: make(chan struct{}), tail: new(tail), killOnStop: runtime.GOOS == "windows"}
	if p.killOnStop {
		p.cmd = exec.Command(program, args...)
	} else {
		p.cmd = exec.Command("sh", append([]string{"-c", supervise, "sh", program}, args...)...)
	}
	p.cmd.SysProcAttr = apart()
	p.cmd.Env = append(os.Environ(), o.Env...)
	p.cmd.Stderr = io.MultiWriter(p.tail, o.Log)
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.start(nil); err != nil {
		return nil, err
	}
	if err := answers(ctx, p, address, o.Namespaces); err != nil {
		_ = p.stop(grace) // err says more
		return nil, err
	}
	return p, nil
}

func cliArguments(address string, o Options) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	args := []string{"server", "start-dev", "--headless", "--log-level", "error", "--ip", host, "--port", port}
	for _, n := range o.Namespaces {
		if n != "default" { // the CLI always creates this namespace
			args = append(args, "--namespace", n)
		}
	}
	if o.Database != "" {
		args = append(args, "--db-filename", cliDatabase(o.Database))
	}
	for _, key := range slices.Sorted(maps.Keys(o.DynamicConfig)) {
		value, err := json.Marshal(o.DynamicConfig[key])
		if err != nil {
			return nil, fmt.Errorf("dynamic configuration: %w", err)
		}
		args = append(args, "--dynamic-config-value", key+"="+string(value))
	}
	return args, nil
}

// answers waits until the server at the address knows the namespaces.
func answers(ctx context.Context, p *process, address string, namespaces []string) error {
	c, err := client.NewLazyClient(client.Options{HostPort: address, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, n := range namespaces {
		for {
			asked, cancel := context.WithTimeout(ctx, time.Second)
			_, err := c.WorkflowService().DescribeNamespace(asked, &workflowservice.DescribeNamespaceRequest{Namespace: n})
			cancel()
			if err == nil {
				break
			}
			select {
			case <-p.done:
				return p.earlyEnd()
			case <-ctx.Done():
				return fmt.Errorf("%w\n%s", context.Cause(ctx), p.tail)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}
