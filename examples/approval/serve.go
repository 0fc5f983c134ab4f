package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/bolt" // registers the scheme "bolt" for store.Open
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// serve starts all parts, and ends them in the opposite order. serve returns
// when the context ends. With -auto, serve returns when the story has ended.
func serve(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	closing := func(what string, end func() error) {
		if e := end(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", what, e))
		}
	}

	// An error after Ctrl-C is a consequence of Ctrl-C, and not an error of the
	// program. With -auto it is an error, because the story has not reached its
	// end.
	unlessEnded := func(err error) error {
		if ctx.Err() != nil && !s.auto {
			return nil
		}
		return err
	}

	// The store is opened first. A bolt file has one owner, and that process
	// also owns the directory.
	entries, err := store.Open(ctx, s.storeURL())
	if err != nil {
		return unlessEnded(err)
	}
	defer closing("store", entries.Close)
	keys, err := linkKeys(s.data)
	if err != nil {
		return err
	}

	logger := slog.New(slog.DiscardHandler)
	serverLog := io.Writer(notices{stderr})
	if s.verbose {
		logger = slog.New(slog.NewTextHandler(stderr, nil))
		serverLog = stderr
	}
	options, stopServer, err := devserver.Connect(ctx, devserver.Options{Server: s.server, Database: s.database(), Log: serverLog})
	if err != nil {
		return unlessEnded(err)
	}
	defer closing("server", stopServer)
	options.Logger = sdklog.NewStructuredLogger(logger)
	temporal, err := client.DialContext(ctx, options)
	if err != nil {
		return unlessEnded(err)
	}
	defer temporal.Close()

	terminal := log.New(stdout, "", 0) // prints lines from several goroutines
	if s.auto {
		terminal.SetOutput(io.Discard) // -auto prints the story itself, in order
	}
	listener, err := listen(ctx, s.addr, s.data)
	if err != nil {
		return unlessEnded(err)
	}
	defer func() { _ = listener.Close() }() // closed twice if the site has started

	// The following parts are Latchkey: a completer that reports to Temporal, a
	// hub between it and the store, and an inbox.
	reporter, err := completer.New(completer.Client{Client: temporal, Options: options})
	if err != nil {
		return err
	}
	hub, err := async.New(async.Options{Store: entries, Completer: reporter, Logger: logger})
	if err != nil {
		return err
	}
	o := &office{
		client: temporal, queue: "latchkey-approval", base: "http://" + listener.Addr().String(),
		mails: &Mails{print: func(m Mail) { terminal.Print(m) }},
	}
	if s.auto {
		o.queue += "-" + rand.Text() // no worker of another process takes part
	}
	people := newProvider()
	box, err := newInbox(hub, people, o, keys, logger)
	if err != nil {
		return err
	}

	working, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var outbox sync.WaitGroup
	outbox.Go(func() { _ = hub.Run(working) }) // Run delivers and retries until working ends
	defer outbox.Wait()
	defer fail(nil)
	work := newWorker(temporal, o.queue, fail, &Activities{Hub: hub, Inbox: box, Send: o.mails.Send})
	if err := work.Start(); err != nil {
		return err
	}
	defer work.Stop()
	stopSite := startSite(listener, newPages(box, people, func(ctx context.Context, e Expense) error {
		_, err := o.File(ctx, e)
		return err
	}), logger, fail)
	defer closing("site", stopSite)

	if s.auto {
		return tell(working, o, stdout)
	}
	if err := open(working, hub, o, terminal); err != nil {
		return unlessEnded(err)
	}
	<-working.Done()
	return unlessEnded(context.Cause(working))
}

// newInbox returns the inbox of the site.
func newInbox(hub *async.Hub, people *provider, o *office, keys *webhook.Keys, logger *slog.Logger) (*inbox.Inbox, error) {
	decision, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	return inbox.New(hub, inbox.Options{
		Types:     []answer.Type{decision},
		Identify:  people.Identify,
		Lookup:    find,
		Links:     keys,
		OnPost:    o.mails.OnPost,
		Base:      o.base + "/inbox",
		Templates: header,
		Logger:    logger,
	})
}

// newWorker returns a worker that has not been started.
func newWorker(c client.Client, queue string, fail func(error), a *Activities) worker.Worker {
	w := worker.New(c, queue, worker.Options{WorkerStopTimeout: 10 * time.Second, OnFatalError: fail})
	w.RegisterWorkflow(Reimburse)
	w.RegisterActivity(a)
	return w
}

// open greets the user, and files the samples if no expense waits.
func open(ctx context.Context, hub *async.Hub, o *office, terminal *log.Logger) error {
	terminal.Printf("Sign in at %s/ and end the program with Ctrl-C.", o.base)
	waiting, err := hub.Page(ctx, async.Query{State: async.Waiting, Limit: 20})
	if err != nil {
		return err
	}
	for _, c := range waiting.Callbacks {
		terminal.Print("Still waits: " + printable(c.Info().Labels[labelExpense]))
	}
	if len(waiting.Callbacks) > 0 {
		return nil
	}
	for _, e := range samples {
		if _, err := o.File(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// samples are the expenses that are filed if no expense waits, and by -auto.
var samples = []Expense{
	{Employee: "ada@example.com", Name: "Ada", Purpose: "train tickets", Cents: 84_20},
	{Employee: "ada@example.com", Name: "Ada", Purpose: "espresso machine", Cents: 310_00},
	{Employee: "grace@example.com", Name: "Grace", Purpose: "lunch with a customer", Cents: 38_50},
	{Employee: "barbara@example.com", Name: "Barbara", Purpose: "rack of servers", Cents: 4_800_00},
}
