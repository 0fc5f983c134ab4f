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
	_ "github.com/latchkey-go/latchkey/store/bolt" // bolt: as the store's URL
)

// serve starts all parts, the innermost first, and stops them in reverse order. It
// returns when the context ends, or with -auto when the steps are done.
func serve(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	closing := func(what string, end func() error) {
		if e := end(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", what, e))
		}
	}

	// If the user ends the program, errors of the parts are expected. With -auto
	// they count, because the steps are not done.
	unlessEnded := func(err error) error {
		if ctx.Err() != nil && !s.auto {
			return nil
		}
		return err
	}

	// The store comes first: a bolt file has one owner, who also owns everything
	// else in the directory.
	entries, err := store.Open(ctx, s.storeURL())
	if err != nil {
		return unlessEnded(err)
	}
	defer closing("store", entries.Close)

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

	// From here on it is Latchkey: a completer that reports to Temporal, and a hub
	// that connects it to the store.
	reporter, err := completer.New(completer.Client{Client: temporal, Options: options})
	if err != nil {
		return err
	}
	hub, err := async.New(async.Options{Store: entries, Completer: reporter, Logger: logger})
	if err != nil {
		return err
	}

	terminal := log.New(stdout, "", 0) // lines come from several goroutines
	if s.auto {
		terminal.SetOutput(io.Discard) // -auto prints its own steps, in order
	}
	listener, err := listen(ctx, s.addr, s.data)
	if err != nil {
		return unlessEnded(err)
	}
	defer func() { _ = listener.Close() }() // the second call comes after the site has closed it
	base := "http://" + listener.Addr().String()

	working, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	results := NewResults(working, temporal, func(result string) { terminal.Println("Decided: " + printable(result)) })
	defer results.Wait()
	// Run delivers what could not be delivered at once, for example while Temporal
	// is down.
	var outbox sync.WaitGroup
	outbox.Go(func() { _ = hub.Run(working) }) // Run ends with working, and its error says nothing else
	defer outbox.Wait()
	defer fail(nil)
	desk := &Desk{hub: hub, client: temporal, queue: "latchkey-approval", results: results}
	if s.auto {
		desk.queue += "-" + rand.Text() // no other worker takes part
	}

	work := newWorker(temporal, desk.queue, fail, &Activities{hub: hub, ask: func(_ context.Context, e Expense, id string) error {
		terminal.Printf("Waiting: %s\n       %s%s", printable(e.String()), base, link(id))
		return nil
	}})
	if err := work.Start(); err != nil {
		return err
	}
	defer work.Stop()

	stopSite := startSite(listener, NewPage(desk), logger, fail)
	defer closing("page", stopSite)

	if s.auto {
		return answerAll(working, desk, base, stdout)
	}
	if err := open(working, desk, base, terminal); err != nil {
		return unlessEnded(err)
	}
	<-working.Done()
	return unlessEnded(context.Cause(working))
}

// newWorker returns a worker that isn't started yet.
func newWorker(c client.Client, queue string, fail func(error), a *Activities) worker.Worker {
	w := worker.New(c, queue, worker.Options{WorkerStopTimeout: 10 * time.Second, OnFatalError: fail})
	w.RegisterWorkflow(Reimburse)
	w.RegisterActivity(a)
	return w
}

// open prints where the page is, and files samples if no expense waits.
func open(ctx context.Context, desk *Desk, base string, terminal *log.Logger) error {
	terminal.Printf("The page is at %s/. Press Ctrl-C to end it.", base)
	items, err := desk.List(ctx)
	if err != nil {
		return err
	}
	waiting := false
	for _, item := range items {
		if item.Waits() {
			waiting = true
			terminal.Printf("Still waiting: %s, %s (%s)\n       %s%s", printable(item.Employee()), printable(item.Purpose()), printable(item.Amount()), base, link(item.ID))
		}
	}
	if waiting {
		return nil
	}
	for _, e := range samples {
		if _, err := desk.File(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// samples are filed if no expense waits, and by -auto.
var samples = []Expense{
	{Employee: "Ada", Purpose: "train tickets", Cents: 84_20},
	{Employee: "Grace", Purpose: "espresso machine", Cents: 1_299_00},
	{Employee: "Edsger", Purpose: "lunch with a customer", Cents: 38_50},
	{Employee: "Barbara", Purpose: "conference ticket", Cents: 310_00},
}
