//go:build unix

package kill

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	proc "github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/examples/internal/redistest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
)

// Decision is the decision on which people vote.
type Decision struct {
	Approved bool         `json:"approved"`
	Decided  []inbox.Vote `json:"decided,omitempty"`
}

func (Decision) ResultType() string { return "kill.Decision" }

// SetDecided stores the votes. The inbox calls SetDecided before it accepts the
// decision.
func (d *Decision) SetDecided(by []inbox.Vote) { d.Decided = by }

const (
	votersRole = "voters" // the first argument of a process that votes
	board      = 20       // number of people who vote on each request
	needed     = 2        // number of equal votes that decide a request
)

func newVotersInbox(hub *async.Hub) (*inbox.Inbox, error) {
	typ, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	return inbox.New(hub, inbox.Options{
		Types: []answer.Type{typ}, Logger: slog.New(slog.DiscardHandler),
		Identify: func(http.ResponseWriter, *http.Request) (inbox.Person, error) {
			return inbox.Person{}, errors.New("there are no pages here")
		},
	})
}

// ballot is a person's vote on a request.
type ballot struct {
	n        int
	item     string
	person   string
	approved bool
}

// runVoters votes as a file says, and prints the result of each vote. runVoters
// has no access to Temporal.
func runVoters(ctx context.Context, storeURL, file string) error {
	ctx = proc.Context(ctx)
	s, err := store.Open(ctx, storeURL)
	if err != nil {
		return err
	}
	hub, err := async.New(async.Options{Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	box, err := newVotersInbox(hub)
	if err != nil {
		return err
	}
	ballots, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = ballots.Close() }()
	slots := make(chan struct{}, 16)
	for lines := bufio.NewScanner(ballots); lines.Scan(); {
		var b ballot
		if _, err := fmt.Sscan(lines.Text(), &b.n, &b.item, &b.person, &b.approved); err != nil {
			return fmt.Errorf("a ballot can't be read: %w", err)
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			who := inbox.Person{ID: b.person, Groups: []string{"board"}}
			verdict := "again"
			for verdict == "again" && ctx.Err() == nil {
				verdict = judge(box.Decide(ctx, b.item, who, url.Values{"approved": {strconv.FormatBool(b.approved)}}))
			}
			say("voted %d %s", b.n, verdict)
		}()
	}
	<-ctx.Done()
	return nil
}

// TestVotersKilled makes 1,000 people vote on 50 requests, 20 people on each.
// The votes come from two processes that are killed at random. Each vote is
// repeated until it has a definite result. Each request has one outcome with
// two deciders. The journal, the workflow's history and the results of the
// votes name the same people.
func TestVotersKilled(t *testing.T) {
	requests := 50
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		requests = 1000
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	storeURL := redistest.Start(t)
	hub, items, runs := postRequests(ctx, t, storeURL, requests)

	var ballots []ballot
	for _, item := range items {
		for person := range board {
			ballots = append(ballots, ballot{item: item, person: fmt.Sprint("person-", person), approved: person%3 > 0})
		}
	}
	random.Shuffle(len(ballots), func(i, j int) { ballots[i], ballots[j] = ballots[j], ballots[i] })
	for n := range ballots {
		ballots[n].n = n
	}
	v := &voting{t: t, url: storeURL, ballots: ballots, verdicts: make(map[int]string), changed: make(chan struct{}, 1)}
	kills := v.run(ctx, random)
	if t.Failed() {
		return
	}

	deciders := 0
	for r, item := range items {
		deciders += v.check(ctx, hub, server.Client(t), runs[r], item)
	}
	t.Logf("%d votes on %d requests, %d processes killed; %d votes were written", len(ballots), requests, kills, deciders)
}

// postRequests starts a workflow for each request. postRequests returns the hub
// that delivers the decisions, and the items.
func postRequests(ctx context.Context, t *testing.T, storeURL string, n int) (hub *async.Hub, items []string, runs []client.WorkflowRun) {
	t.Helper()
	c := server.Client(t)
	reporter, err := completer.New(completer.Client{Client: c, Options: server.Server(t).ClientOptions()})
	must(t, err)
	s, err := store.Open(ctx, storeURL)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	hub, err = async.New(async.Options{Store: s, Completer: reporter, PollInterval: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	box, err := newVotersInbox(hub)
	must(t, err)
	queue := fmt.Sprintf("voters-%d", rand.Uint64())
	posted := make(chan [2]string, n)
	w := worker.New(c, queue, worker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, n int) (d Decision, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Hour})
		return d, workflow.ExecuteActivity(ctx, "vote", n).Get(ctx, &d)
	}, workflow.RegisterOptions{Name: "vote"})
	w.RegisterActivityWithOptions(func(ctx context.Context, n int) (Decision, error) {
		return async.Start(ctx, hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			path, err := box.Post(ctx, p.Callback, inbox.Request{Title: fmt.Sprint("Request ", n), For: []string{"board"}, Needs: needed})
			if err == nil {
				posted <- [2]string{strconv.Itoa(n), path}
			}
			return err
		})
	}, activity.RegisterOptions{Name: "vote"})
	must(t, w.Start())
	t.Cleanup(w.Stop)
	running, stop := context.WithCancel(ctx)
	var hubs sync.WaitGroup
	hubs.Go(func() { _ = hub.Run(running) })
	t.Cleanup(func() {
		stop()
		hubs.Wait()
	})
	items, runs = make([]string, n), make([]client.WorkflowRun, n)
	for i := range n {
		runs[i], err = c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, "vote", i)
		must(t, err)
	}
	for i := range n {
		select {
		case p := <-posted:
			at, err := strconv.Atoi(p[0])
			must(t, err)
			items[at] = p[1]
		case <-ctx.Done():
			t.Fatalf("%d of %d requests are posted", i, n)
		}
	}
	return hub, items, runs
}

// voting is the two processes and their output.
type voting struct {
	t       *testing.T
	url     string
	ballots []ballot
	changed chan struct{}

	mu       sync.Mutex
	verdicts map[int]string
}

// run makes people cast all ballots, and kills one process after another during
// that time. run returns the number of kills.
func (v *voting) run(ctx context.Context, random *rand.Rand) (kills int) {
	v.t.Helper()
	var processes [2]*proc.Process
	defer func() {
		for _, p := range processes {
			if p != nil {
				p.Kill()
			}
		}
	}()
	for k := range processes {
		processes[k] = v.start(k)
	}
	next := 20
	for v.heard() < len(v.ballots) && !v.t.Failed() {
		select {
		case <-v.changed:
		case <-ctx.Done():
			v.t.Fatalf("%d of %d votes have a verdict", v.heard(), len(v.ballots))
		}
		if v.heard() >= next {
			k := kills % len(processes)
			processes[k].Kill()
			processes[k] = v.start(k)
			kills, next = kills+1, v.heard()+40+random.IntN(80)
		}
	}
	if kills < 2 {
		v.t.Errorf("%d processes were killed: this shows too little", kills)
	}
	return kills
}

func (v *voting) heard() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.verdicts)
}

// start starts a process with those ballots of its half that have no result.
func (v *voting) start(half int) *proc.Process {
	v.t.Helper()
	var b strings.Builder
	v.mu.Lock()
	for _, order := range v.ballots {
		if _, known := v.verdicts[order.n]; order.n%2 == half && !known {
			_, _ = fmt.Fprintln(&b, order.n, order.item, order.person, order.approved)
		}
	}
	v.mu.Unlock()
	file := filepath.Join(v.t.TempDir(), "ballots")
	must(v.t, os.WriteFile(file, []byte(b.String()), 0o600))
	p, err := proc.Start(proc.Options{
		Name: votersRole, Args: []string{votersRole, v.url, file}, Heard: v.hear,
		Ended: func(err error) { v.t.Error(err) },
	})
	must(v.t, err)
	return p
}

func (v *voting) hear(line string) {
	var n int
	var verdict string
	if _, err := fmt.Sscanf(line, "voted %d %s", &n, &verdict); err != nil || verdict != "accepted" && verdict != "settled" {
		v.t.Errorf("a process printed %q, want a verdict", line)
	}
	v.mu.Lock()
	v.verdicts[n] = verdict
	v.mu.Unlock()
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// check compares the workflow's history, the journal and the output of the
// processes for a request. check returns how many votes were written.
func (v *voting) check(ctx context.Context, hub *async.Hub, c client.Client, run client.WorkflowRun, item string) int {
	v.t.Helper()
	var d Decision
	must(v.t, run.Get(ctx, &d))
	if inHistory := decisionsOf(ctx, v.t, c, run); len(inHistory) != 1 || fmt.Sprint(inHistory[0]) != fmt.Sprint(d) {
		v.t.Errorf("%s: the history has %d outcomes %+v, want the one that the workflow read", item, len(inHistory), inHistory)
	}
	var decided, accepted, journal []string
	agree := 0
	for _, vote := range d.Decided {
		decided = append(decided, vote.By.ID)
		if vote.Agrees {
			agree++
		}
		if b := v.ballotOf(item, vote.By.ID); vote.Agrees != (b.approved == d.Approved) {
			v.t.Errorf("%s: %s voted %v, and the result says that this agrees with %v: %v", item, vote.By.ID, b.approved, d.Approved, vote.Agrees)
		}
	}
	if agree != needed {
		v.t.Errorf("%s: %d people decided, want %d: %+v", item, agree, needed, d.Decided)
	}
	entry, _, _ := strings.Cut(strings.TrimPrefix(item, "i/"), ".")
	round, err := hub.Find(ctx, entry)
	must(v.t, err)
	for _, n := range round.Notes() {
		if n.Kind == "inbox.vote" {
			journal = append(journal, n.By)
		}
	}
	for _, b := range v.ballots {
		if b.item == item && v.verdicts[b.n] == "accepted" {
			accepted = append(accepted, b.person)
		}
	}
	slices.Sort(accepted)
	if sorted := slices.Sorted(slices.Values(journal)); !slices.Equal(journal, decided) || !slices.Equal(sorted, accepted) {
		v.t.Errorf("%s: the result names %v, the journal %v, and accepted were the votes of %v; want the same people", item, decided, journal, accepted)
	}
	return len(journal)
}

func (v *voting) ballotOf(item, person string) ballot {
	return v.ballots[slices.IndexFunc(v.ballots, func(b ballot) bool { return b.item == item && b.person == person })]
}

// decisionsOf returns the results of activities in a workflow's history.
func decisionsOf(ctx context.Context, t *testing.T, c client.Client, run client.WorkflowRun) (all []Decision) {
	t.Helper()
	events := c.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		must(t, err)
		if a := e.GetActivityTaskCompletedEventAttributes(); a != nil {
			var d Decision
			must(t, json.Unmarshal(a.GetResult().GetPayloads()[0].GetData(), &d))
			all = append(all, d)
		}
	}
	return all
}
