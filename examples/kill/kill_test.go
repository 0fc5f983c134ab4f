//go:build unix

package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/examples/internal/devserver/devtest"
	"github.com/latchkey-go/latchkey/examples/internal/redistest"
)

var server devtest.Shared

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == votersRole {
		if err := runVoters(context.Background(), os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, votersRole+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(server.Main(m))
}

// bound is the time limit of the kills and the delivery. bound only prevents
// hanging; a round takes seconds.
const bound = 10 * time.Minute

// mostKills is the maximum number of kills in a round, so that a round ends on
// a slow machine too.
const mostKills = 60

// TestKilledWhileAnswering answers 500 activities while it kills three
// processes at random: the worker, the one that accepts callbacks, and the one
// that delivers. Each workflow reads the answer that was acknowledged. No
// answer arrives twice, and no other answer arrives.
func TestKilledWhileAnswering(t *testing.T) {
	rounds := 1
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		rounds = 100
	}
	url := redistest.Start(t)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("LATCHKEY_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("LATCHKEY_SEED: %v", err)
		}
	}
	t.Logf("LATCHKEY_SEED=%d", seed)
	for n := range rounds {
		r := newRound(t, url, n, rand.New(rand.NewPCG(seed, uint64(n))))
		r.run(500)
		if t.Failed() {
			t.Fatalf("in round %d", n)
		}
	}
}

// round is one set of activities and the processes that serve them.
type round struct {
	t       *testing.T
	random  *rand.Rand
	client  client.Client
	queue   string
	env     []string
	outside *outside
	kills   map[string]int
}

func newRound(t *testing.T, url string, n int, random *rand.Rand) *round {
	t.Helper()
	queue := fmt.Sprintf("kill-%d-%d", random.Uint64(), n)
	return &round{
		t: t, random: random, queue: queue, client: server.Client(t), outside: newOutside(t, random.Uint64()), kills: make(map[string]int),
		env: append(os.Environ(),
			addressVariable+"="+server.Server(t).HostPort(), storeVariable+"="+url+"?prefix="+queue+":", queueVariable+"="+queue),
	}
}

func (r *round) run(activities int) {
	ctx, cancel := context.WithTimeout(r.t.Context(), bound)
	defer cancel()
	begun := time.Now()
	children := make(map[string]*child)
	names := []string{"worker", "callbacks", "deliverer"}
	defer func() {
		for _, c := range children {
			c.kill()
		}
	}()
	for _, name := range names {
		children[name] = r.spawn(name)
	}
	starting := make(chan []client.WorkflowRun, 1)
	go func() { starting <- r.start(ctx, activities) }()

	// Every answer must be acknowledged while one process after another is
	// killed. Each process is killed early once.
	early := r.random.Perm(len(names))
	next := r.soon()
	var up <-chan struct{} // closed when the process that was started last can work
	kills := 0
	for !r.outside.complete(activities) {
		select {
		case <-up: // On a busy machine, a process may take longer to start than the time between two kills.
			if up = nil; kills < mostKills {
				next = r.soon()
			}
		case <-next:
			name := names[r.random.IntN(len(names))]
			if len(early) > 0 {
				name, early = names[early[0]], early[1:]
			}
			if name == "callbacks" {
				r.outside.awaitWord(100 * time.Millisecond)
			}
			children[name].kill()
			r.kills[name]++
			kills++
			children[name] = r.spawn(name)
			next, up = nil, children[name].up
		case <-r.outside.changed:
		case <-ctx.Done():
			r.t.Fatalf("after %v: %s", bound, r.outside.progress())
		}
		if r.t.Failed() {
			return
		}
	}
	acknowledged := time.Since(begun)

	// The process that answered is no longer needed.
	children["callbacks"].kill()
	for n, run := range <-starting {
		var got string
		if err := run.Get(ctx, &got); err != nil {
			r.t.Fatalf("activity %d: the workflow has no result: %v", n, err)
		}
		r.outside.check(n, got)
	}
	r.t.Logf("%d activities acknowledged in %v and delivered in %v; killed %v; %s",
		activities, acknowledged.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond), r.kills, r.outside.progress())
	for _, name := range names {
		if r.kills[name] == 0 {
			r.t.Errorf("the %s was never killed: this shows too little", name)
		}
	}
}

// soon returns the time of the next kill.
func (r *round) soon() <-chan time.Time {
	return time.After(time.Duration(r.random.Int64N(int64(1200 * time.Millisecond))))
}

// start starts a workflow for each activity.
func (r *round) start(ctx context.Context, activities int) []client.WorkflowRun {
	runs := make([]client.WorkflowRun, activities)
	for n := range runs {
		var err error
		runs[n], err = r.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			TaskQueue: r.queue, WorkflowTaskTimeout: 2 * time.Second,
		}, workflowName, n)
		if err != nil {
			r.t.Errorf("start workflow %d: %v", n, err)
			return nil
		}
	}
	return runs
}
