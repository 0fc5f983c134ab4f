//go:build unix

package kill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/redis" // supports redis:// URLs of the store
)

// These variables turn the test's program into one of the processes.
const (
	roleVariable    = "LATCHKEY_KILL_ROLE"
	addressVariable = "LATCHKEY_KILL_ADDRESS"
	storeVariable   = "LATCHKEY_KILL_STORE"
	queueVariable   = "LATCHKEY_KILL_QUEUE"
	settleVariable  = "LATCHKEY_KILL_SETTLE" // if set, the hub of the process only settles
	runVariable     = "LATCHKEY_KILL_RUN"    // if set, a process that accepts callbacks also delivers
)

var roles = map[string]func(ctx context.Context) error{
	"worker": runWorker, "callbacks": runCallbacks, "deliverer": runDeliverer,
}

const workflowName = "Ask"

// isUp is the line that a process prints when it is connected.
const isUp = "up"

// ask is a workflow with one activity, and returns its result.
func ask(ctx workflow.Context, n int) (string, error) {
	var answer string
	o := workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second, // a killed worker is noticed after this time
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond, BackoffCoefficient: 1},
	}
	return answer, workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), workflowName, n).Get(ctx, &answer)
}

// connect returns the parts that each process has: a client, and a hub on the
// shared store.
func connect(ctx context.Context) (client.Client, *async.Hub, error) {
	o := client.Options{HostPort: os.Getenv(addressVariable), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	c, err := client.Dial(o)
	if err != nil {
		return nil, nil, err
	}
	reporter, err := completer.New(completer.Client{Client: c, Options: o})
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(ctx, os.Getenv(storeVariable))
	if err != nil {
		return nil, nil, err
	}
	if os.Getenv(settleVariable) != "" {
		reporter = nil
	}
	hub, err := async.New(async.Options{Store: s, Completer: reporter, PollInterval: 100 * time.Millisecond, ClaimTime: 4 * time.Second})
	say(isUp)
	return c, hub, err
}

// runWorker works on the task queue, and prints each request that it sends.
// runWorker delivers only in Start.
func runWorker(ctx context.Context) error {
	c, hub, err := connect(ctx)
	if err != nil {
		return err
	}
	w := worker.New(c, os.Getenv(queueVariable), worker.Options{StickyScheduleToStartTimeout: time.Second})
	w.RegisterWorkflowWithOptions(ask, workflow.RegisterOptions{Name: workflowName})
	w.RegisterActivityWithOptions(func(ctx context.Context, n int) (string, error) {
		return async.Start(ctx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[string]) error {
			say("asked %d %s", n, p.ID())
			return nil
		})
	}, activity.RegisterOptions{Name: workflowName})
	if err := w.Start(); err != nil {
		return err
	}
	untilOrphaned()
	return nil
}

// runDeliverer runs a hub, and is usually the only process that delivers.
func runDeliverer(ctx context.Context) error {
	_, hub, err := connect(ctx)
	if err != nil {
		return err
	}
	go untilOrphaned()
	return hub.Run(ctx)
}

// runCallbacks gives the answers that it reads, and prints the results. If
// runCallbacks also delivers, it prints that an answer is accepted before it
// records the delivery, so that the test can kill it in between.
func runCallbacks(ctx context.Context) error {
	_, hub, err := connect(ctx)
	if err != nil {
		return err
	}
	if os.Getenv(runVariable) != "" {
		go func() {
			if err := hub.Run(ctx); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
	slots := make(chan struct{}, 16)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o offer
		if _, err := fmt.Sscan(lines.Text(), &o.n, &o.round, &o.id, &o.kind, &o.value); err != nil {
			return errors.New("an order that can't be read")
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			verdict := judge(o.make(ctx, hub))
			say("answered %d %d %s %s", o.n, o.round, o.value, verdict)
		}()
	}
	return nil
}

// offer is an answer to one request of an activity.
type offer struct {
	n, round        int
	id, kind, value string
}

func (o offer) make(ctx context.Context, hub *async.Hub) error {
	p, err := async.Open[string](ctx, hub, o.id)
	if err != nil {
		return err
	}
	if o.kind == "fail" {
		return p.Fail(ctx, errors.New(o.value))
	}
	return p.Complete(ctx, o.value)
}

// judge names the result of an offer.
func judge(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, async.ErrSettled):
		return "settled"
	case errors.Is(err, async.ErrNotFound), errors.Is(err, async.ErrClosed), errors.Is(err, async.ErrSuperseded), errors.Is(err, async.ErrTypeMismatch):
		fmt.Fprintln(os.Stderr, err)
		return "lost"
	default:
		return "again"
	}
}

var saying sync.Mutex

// say prints a line in one write.
func say(format string, args ...any) {
	saying.Lock()
	defer saying.Unlock()
	_, _ = os.Stdout.WriteString(fmt.Sprintf(format, args...) + "\n")
}

// untilOrphaned ends the process when its parent ends.
func untilOrphaned() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// child is one of the processes.
type child struct {
	cmd   *exec.Cmd
	up    chan struct{} // closed when the process is connected, or dead
	ended chan struct{} // closed when the process is dead and all of its output was handled
}

func (r *round) spawn(role string) *child {
	r.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(slices.Clone(r.env), roleVariable+"="+role)
	if role == "callbacks" {
		switch r.random.IntN(4) {
		case 0:
			cmd.Env = append(cmd.Env, settleVariable+"=1") // the deliverer delivers everything that it accepts
		case 1, 2:
			cmd.Env = append(cmd.Env, runVariable+"=1")
		}
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("start the %s: %v", role, err)
	}
	c := &child{cmd: cmd, up: make(chan struct{}), ended: make(chan struct{})}
	up := sync.OnceFunc(func() { close(c.up) })
	var life *life
	if role == "callbacks" {
		life = r.outside.serve(in)
	}
	go func() {
		defer close(c.ended)
		defer up()
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			if err != nil { // an incomplete line is ignored
				break
			}
			if line == isUp+"\n" {
				up()
				continue
			}
			r.outside.heard(line, life)
		}
		if life != nil {
			life.end()
		}
		_ = cmd.Wait()
	}()
	return c
}

// kill ends the process with SIGKILL, and returns when all of its output was
// handled.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}
