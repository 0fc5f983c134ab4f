package answers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/redistest"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/redis" // supports redis:// URLs of the store
)

// These variables turn the test's program into a process that the test will
// kill.
const (
	roleVariable    = "LATCHKEY_ANSWERS_ROLE"
	addressVariable = "LATCHKEY_ANSWERS_ADDRESS"
	storeVariable   = "LATCHKEY_ANSWERS_STORE"
	queueVariable   = "LATCHKEY_ANSWERS_QUEUE"
)

// beRole is the main function of such a process. The process ends when its
// parent ends.
func beRole(role string) error {
	ctx := context.Background()
	o := client.Options{HostPort: os.Getenv(addressVariable), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	c, err := client.Dial(o)
	if err != nil {
		return err
	}
	reporter, err := completer.New(completer.Client{Client: c, Options: o})
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, os.Getenv(storeVariable))
	if err != nil {
		return err
	}
	dies := &holding{Completer: reporter}
	options := async.Options{Store: s, Completer: dies}
	beatingHub(nil)(&options)
	hub, err := async.New(options)
	if err != nil {
		return err
	}
	switch role {
	case "beats":
		go func() { _ = hub.Run(ctx) }()
	case "asks":
		w := worker.New(c, os.Getenv(queueVariable), worker.Options{})
		w.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
			return async.Start(ctx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error {
				fmt.Println(p.ID())
				select {} // the function never sends the request
			})
		}, activity.RegisterOptions{Name: rig.Activity})
		if err := w.Start(); err != nil {
			return err
		}
	default:
		return errors.New("an unknown role")
	}
	// The first line makes the process hold its current calls. The end of its
	// input ends the process.
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		dies.hold.Store(true)
		fmt.Println("holding")
	}
	return nil
}

// holding is a completer whose calls hang once it holds, so that the test can
// kill the process during a call.
type holding struct {
	completer.Completer
	hold atomic.Bool
}

func (h *holding) Heartbeat(ctx context.Context, t completer.Target, d *commonpb.Payloads) (completer.Signals, error) {
	if h.hold.Load() {
		fmt.Println("held", t.WorkflowID)
		select {}
	}
	return h.Completer.Heartbeat(ctx, t, d)
}

// process is a process that the test will kill.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // the lines of its output; closed when the process is dead
}

func spawn(t *testing.T, role, store, queue string) *process {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, addressVariable+"="+server.Server(t).HostPort(), storeVariable+"="+store, queueVariable+"="+queue)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &process{t: t, cmd: cmd, in: in, lines: make(chan string, 1000)}
	go func() {
		defer close(p.lines)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.lines <- lines.Text()
		}
		_ = cmd.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process with SIGKILL, and returns when the process is dead.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.lines {
	}
}

// heard returns the next line of the process's output.
func (p *process) heard() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatal("the process has ended")
		}
		return line
	case <-rig.Context(p.t).Done():
		p.t.Fatal("the process says nothing")
	}
	return ""
}

// sharedStore returns a store that several processes share, and its URL.
func sharedStore(t *testing.T) (store.Store, string) {
	t.Helper()
	url := redistest.Start(t)
	s, err := store.Open(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s, url
}

// A process that heartbeats is killed after it has claimed all activities and
// while its calls are running. Another process heartbeats before any activity
// times out, and sends the details that arrived meanwhile.
func TestKilledHubIsReplacedInTime(t *testing.T) {
	const (
		activities = 8
		timeout    = 30 * time.Second // the timeout leaves a busy machine time for the takeover
	)
	s, url := sharedStore(t)
	w := newWorld(t, config{hub: func(o *async.Options) {
		o.Store, o.Completer = s, nil
		o.ClaimTime = 4 * time.Second
	}})
	w.store = s
	dies := spawn(t, "beats", url, "")
	o := beating(timeout)
	o.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
	runs, all := make(map[string]client.WorkflowRun), make([]async.Pending[Decision], activities)
	for range activities {
		run := w.Start(awaitDecision, o)
		runs[run.GetID()] = run
	}
	for i := range all {
		all[i] = w.next()
	}
	for _, run := range runs {
		w.AwaitPending(run, "a beat of the process", func(p *workflowpb.PendingActivityInfo) bool { return p.GetLastHeartbeatTime() != nil })
	}
	_, err := io.WriteString(dies.in, "hold\n")
	must(t, err)
	for dies.heard() != "holding" {
	}
	for _, p := range all {
		must(t, p.Heartbeat(w.Context(), "half")) // all activities are due at once
	}
	for held := map[string]bool{}; len(held) < activities; {
		if id, is := strings.CutPrefix(dies.heard(), "held "); is {
			held[id] = true
		}
	}
	dies.kill()
	killed := time.Now()
	runHub(t, w.another(beatingHub(nil)))
	for _, run := range runs {
		w.AwaitPending(run, "life beyond the heartbeat timeout", func(p *workflowpb.PendingActivityInfo) bool {
			return p.GetLastHeartbeatTime().AsTime().Sub(killed) > timeout
		})
		w.detailed(run, client.Options{}, "half")
	}
	for _, p := range all {
		must(t, p.Complete(w.Context(), approved))
	}
	for _, run := range runs {
		w.wantResult(run, approved)
	}
}

// A worker is killed while its function runs. The function has run for longer
// than the heartbeat timeout. A pump runs in another process, but Temporal
// notices the death of the worker.
func TestKilledWorkerIsNoticed(t *testing.T) {
	s, url := sharedStore(t)
	w := newWorld(t, config{register: func(_ *world, r worker.Registry) {
		r.RegisterWorkflowWithOptions(func(ctx workflow.Context, queue string) (Decision, error) {
			o := beating(often)
			o.TaskQueue = queue
			return rig.Await[Decision](ctx, o)
		}, workflow.RegisterOptions{Name: "elsewhere"})
	}})
	w.store = s
	pump := &counting{Completer: w.completer}
	elsewhere := w.another(func(o *async.Options) {
		beatingHub(nil)(o)
		o.Completer = pump
	})
	runHub(t, elsewhere)
	queue := w.Queue + "-asks"
	dies := spawn(t, "asks", url, queue)
	run := w.Start("elsewhere", queue)
	p, err := async.Open[Decision](w.Context(), elsewhere, dies.heard())
	must(t, err)
	w.AwaitPending(run, "life beyond the heartbeat timeout", func(p *workflowpb.PendingActivityInfo) bool { return outlived(p, often) })
	w.wantPending(run, 1)
	must(t, p.Heartbeat(w.Context())) // the pump also sends no heartbeat for details of the external system
	dies.kill()
	pending := w.AwaitPending(run, "the time-out", rig.BackOff(2))
	if got := pending.GetLastFailure().GetTimeoutFailureInfo().GetTimeoutType(); got != enumspb.TIMEOUT_TYPE_HEARTBEAT {
		t.Errorf("attempt 1 ended by %v, want its heartbeat time-out", pending.GetLastFailure())
	}
	if n := pump.beats.Load(); n != 0 {
		t.Errorf("the pump has beaten %d times for a function that has not returned, want never", n)
	}
	must(t, p.Complete(w.Context(), approved)) // the external system has the request
	w.wantResult(run, approved)
}
