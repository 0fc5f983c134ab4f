package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/examples/internal/httpserver"
	"github.com/latchkey-go/latchkey/examples/internal/live"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/redis" // supports redis:// URLs of the store
)

const (
	open   = "default"  // a namespace for which the hub has a client
	closed = "payments" // a namespace for which the hub has no client at first
	queue  = "ops"
	each   = 50 // number of activities in a workflow
)

// Answer is the result type of the activities.
type Answer struct {
	Approved bool `json:"approved"`
}

// ResultType returns the name of the type in the store.
func (Answer) ResultType() string { return "ops.Answer" }

// fleet contains everything that runs.
type fleet struct {
	directory string
	server    *devserver.Server
	clients   map[string]completer.Client // by namespace
	workers   []worker.Worker
	entries   store.Store
	token     string
	observer  async.Observer // of all hubs
	metrics   http.Handler
	address   string                       // of the pages
	board     string                       // its address
	serving   atomic.Pointer[http.Handler] // the board of the running hub
	pages     *http.Server
	endRedis  context.CancelFunc
	endHub    context.CancelFunc // ends the running hub
	hub       *async.Hub         // the running hub
	running   sync.WaitGroup     // Redis and the board's server
	hubs      sync.WaitGroup     // the running hub

	mu        sync.Mutex
	callbacks map[string][]string // by activity type
}

// start starts Redis, Temporal, the workers, a hub and its board.
func start(ctx context.Context, log io.Writer) (f *fleet, err error) {
	f = &fleet{token: rand.Text(), clients: make(map[string]completer.Client), callbacks: make(map[string][]string)}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop())
		}
	}()
	if f.observer, f.metrics, err = newMetrics(); err != nil {
		return nil, err
	}
	if f.directory, err = os.MkdirTemp("", "latchkey-ops-"); err != nil {
		return nil, err
	}
	url, err := f.redis()
	if err != nil {
		return nil, err
	}
	if f.entries, err = store.Open(ctx, url+"?pages=true"); err != nil {
		return nil, err
	}
	if f.server, err = devserver.Start(ctx, devserver.Options{Database: filepath.Join(f.directory, "temporal.db"), Namespaces: []string{open, closed}, Log: notices{log}}); err != nil {
		return nil, err
	}
	for _, namespace := range []string{open, closed} {
		o := f.server.ClientOptions()
		o.Namespace, o.Logger = namespace, sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
		c, err := client.DialContext(ctx, o)
		if err != nil {
			return nil, err
		}
		f.clients[namespace] = completer.Client{Client: c, Options: o}
	}
	if err := f.work(); err != nil {
		return nil, err
	}
	if err := f.runHub(false); err != nil {
		return nil, err
	}
	return f, f.serve()
}

// redis starts a Redis, and returns its URL.
func (f *fleet) redis() (url string, err error) {
	var ctx context.Context
	ctx, f.endRedis = context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	f.running.Go(func() { ended <- redisserver.Run(ctx, f.directory, func(url string) { ready <- url }) })
	select {
	case url = <-ready:
		return url, nil
	case err = <-ended:
		return "", err
	}
}

// work starts a worker in each namespace. The hub of a worker only hands
// activities over; the running hub does the rest.
func (f *fleet) work() error {
	hub, err := f.newHub(jobs(), f.clients[open], f.clients[closed])
	if err != nil {
		return err
	}
	for _, namespace := range []string{open, closed} {
		w := worker.New(f.clients[namespace].Client, queue, worker.Options{MaxConcurrentActivityExecutionSize: 64, DisableRegistrationAliasing: true})
		w.RegisterWorkflow(Batch)
		w.RegisterActivity(&Activities{hub: hub, note: f.note})
		if err := w.Start(); err != nil {
			return err
		}
		f.workers = append(f.workers, w)
	}
	return nil
}

// jobs returns the pump of the jobs. The first heartbeat is due after ten
// seconds, so that a missing pump shows within little more than a minute.
func jobs() map[string]heartbeat.Pump {
	return map[string]heartbeat.Pump{"jobs": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{Interval: 10 * time.Second})}
}

func (f *fleet) newHub(pumps map[string]heartbeat.Pump, clients ...completer.Client) (*async.Hub, error) {
	c, err := completer.New(clients...)
	if err != nil {
		return nil, err
	}
	return async.New(async.Options{Store: f.entries, Completer: c, Pumps: pumps, Observer: f.observer, StatsAge: time.Second, Logger: slog.New(slog.DiscardHandler)})
}

// runHub replaces the running hub and its board. The first hub has no client
// for one namespace and lacks a pump; the repaired hub has both.
func (f *fleet) runHub(mended bool) (err error) {
	if f.endHub != nil {
		f.endHub()
		f.hubs.Wait()
	}
	if mended {
		f.hub, err = f.newHub(jobs(), f.clients[open], f.clients[closed])
	} else {
		f.hub, err = f.newHub(nil, f.clients[open])
	}
	if err != nil {
		return err
	}
	handler, err := mount(f.hub, f.token)
	if err != nil {
		return err
	}
	f.serving.Store(&handler)
	ctx, cancel := context.WithCancel(context.Background())
	f.endHub = cancel
	hub := f.hub
	f.hubs.Go(func() { _ = hub.Run(ctx) }) // Run ends with its context
	return nil
}

// serve listens for the board and for Prometheus.
func (f *fleet) serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f.address = "http://" + l.Addr().String()
	f.board = f.address + "/ops/"
	mux := http.NewServeMux()
	mux.HandleFunc("/ops/", func(w http.ResponseWriter, r *http.Request) { (*f.serving.Load()).ServeHTTP(w, r) })
	mux.Handle("/metrics", f.metrics)
	f.pages = httpserver.New(mux)
	f.running.Go(func() { _ = f.pages.Serve(l) }) // Close ends Serve
	return nil
}

// stop ends everything that start has started.
func (f *fleet) stop() (err error) {
	if f.pages != nil {
		err = errors.Join(err, f.pages.Close())
	}
	for _, w := range f.workers {
		w.Stop()
	}
	if f.endHub != nil {
		f.endHub()
		f.hubs.Wait()
	}
	for _, c := range f.clients {
		c.Client.Close()
	}
	if f.server != nil {
		err = errors.Join(err, f.server.Stop())
	}
	if f.entries != nil {
		err = errors.Join(err, f.entries.Close())
	}
	if f.endRedis != nil {
		f.endRedis()
	}
	f.running.Wait()
	return errors.Join(err, os.RemoveAll(f.directory))
}

// Batch waits for several activities of one type.
func Batch(ctx workflow.Context, activity string, n int) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 24 * time.Hour, HeartbeatTimeout: map[string]time.Duration{"RunJob": 10 * time.Minute}[activity],
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	var waiting []workflow.Future
	for range n {
		waiting = append(waiting, workflow.ExecuteActivity(ctx, activity))
	}
	var err error
	for _, f := range waiting {
		err = errors.Join(err, f.Get(ctx, nil))
	}
	return err
}

// Activities are the activities of the workers.
type Activities struct {
	hub  *async.Hub
	note func(activity, callback string)
}

// Approve waits for a person.
func (a *Activities) Approve(ctx context.Context) (Answer, error) {
	return async.Start(ctx, a.hub, async.StartOptions{Labels: map[string]string{"team": "red"}}, a.ask("Approve"))
}

// Capture waits for a payment provider.
func (a *Activities) Capture(ctx context.Context) (Answer, error) {
	return async.Start(ctx, a.hub, async.StartOptions{Labels: map[string]string{"team": "blue"}}, a.ask("Capture"))
}

// RunJob waits for a job, which a pump watches.
func (a *Activities) RunJob(ctx context.Context) (Answer, error) {
	return async.Start(ctx, a.hub, async.StartOptions{Pump: "jobs"}, a.ask("RunJob"))
}

func (a *Activities) ask(activity string) func(context.Context, async.Pending[Answer]) error {
	return func(_ context.Context, p async.Pending[Answer]) error {
		a.note(activity, p.ID())
		return nil
	}
}

func (f *fleet) note(activity, callback string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.callbacks[activity] = append(f.callbacks[activity], callback)
}

// asked returns the callback IDs of the waiting activities of a type.
func (f *fleet) asked(activity string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.callbacks[activity]...)
}

// fill starts activities until the store has entries in all states. One in ten
// waits for a payment and one in twenty for a job. Half of the approvals are
// answered, and a fifth of the payments, whose answers the hub cannot deliver.
func (f *fleet) fill(ctx context.Context, story *live.Story, entries int) error {
	want := map[string]int{"Capture": entries / 10, "RunJob": entries / 20}
	want["Approve"] = entries - want["Capture"] - want["RunJob"]
	for activity, n := range want {
		namespace := open
		if activity == "Capture" {
			namespace = closed
		}
		for ; n > 0; n -= each {
			if _, err := f.clients[namespace].Client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, Batch, activity, min(each, n)); err != nil {
				return err
			}
		}
	}
	for {
		have := len(f.asked("Approve")) + len(f.asked("Capture")) + len(f.asked("RunJob"))
		story.Progress(fmt.Sprintf("%d of %d activities wait", have, entries))
		if have >= entries {
			break
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	story.Settle()
	for activity, parts := range map[string]int{"Approve": 2, "Capture": 5} {
		all := f.asked(activity)
		answered := len(all) / parts
		if err := f.answer(ctx, all[:answered]); err != nil {
			return err
		}
		f.mu.Lock()
		f.callbacks[activity] = f.callbacks[activity][answered:]
		f.mu.Unlock()
	}
	return nil
}

// answer makes many callers answer at the same time.
func (f *fleet) answer(ctx context.Context, callbacks []string) error {
	const callers = 16
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for n := range callers {
		wg.Go(func() {
			for i := n; i < len(callbacks) && errs[n] == nil; i += callers {
				p, err := async.Open[Answer](ctx, f.hub, callbacks[i])
				if err == nil {
					err = p.Complete(ctx, Answer{Approved: true})
				}
				errs[n] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// notices prints that the build of the server takes minutes. Other log lines of
// the server are dropped.
type notices struct{ w io.Writer }

func (n notices) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("devserver: ")) {
		return n.w.Write(b)
	}
	return len(b), nil
}
