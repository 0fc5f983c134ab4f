package main

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/examples/internal/devserver/devtest"
	"github.com/latchkey-go/latchkey/store"
)

var server devtest.Shared

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// patience is the time limit of every wait, and only prevents hanging.
const patience = 5 * time.Minute

// site is the site with a worker of its own.
type site struct {
	t      *testing.T
	office *office
	hub    *async.Hub
	base   string
}

func newSite(t *testing.T, temporal *devserver.Server) *site {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	options := temporal.ClientOptions()
	options.Logger = sdklog.NewStructuredLogger(silent)
	c, err := client.Dial(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	reporter, err := completer.New(completer.Client{Client: c, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	entries := store.NewMemory()
	t.Cleanup(func() { _ = entries.Close() })
	hub, err := async.New(async.Options{Store: entries, Completer: reporter, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := linkKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(nil)
	base := "http://" + web.Listener.Addr().String()
	o := &office{client: c, queue: "approval-" + rand.Text(), base: base, mails: &Mails{print: func(Mail) {}}}
	people := newProvider()
	box, err := newInbox(hub, people, o, keys, silent)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = hub.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	w := newWorker(c, o.queue, func(err error) { t.Errorf("the worker failed: %v", err) }, &Activities{Hub: hub, Inbox: box, Send: o.mails.Send})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	web.Config.Handler = newPages(box, people, func(ctx context.Context, e Expense) error {
		_, err := o.File(ctx, e)
		return err
	})
	web.Start()
	t.Cleanup(web.Close)
	return &site{t: t, office: o, hub: hub, base: base}
}

func (s *site) context() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// as returns a browser in which a person is signed in.
func (s *site) as(name string) *visitor {
	s.t.Helper()
	id := ""
	if name != "" {
		id = name + "@example.com"
	}
	v, err := newVisitor(s.context(), s.base, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// get returns a page as a person sees it.
func (s *site) get(name, path string) (status int, body string) {
	s.t.Helper()
	resp, body := s.do(name, http.MethodGet, path, nil)
	return resp.StatusCode, body
}

// do sends a request, and does not follow redirects.
func (s *site) do(name, method, path string, form url.Values, headers ...string) (resp *http.Response, body string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.context(), method, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	resp, err = s.as(name).client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(b)
}

// waits returns the item with a title after it waits for a person.
func (s *site) waits(name, title string) (item string) {
	s.t.Helper()
	v := s.as(name)
	eventually(s.t, title+" waits for "+name, func() bool {
		items, err := v.waiting(s.context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, i := range items {
			if i.Title == title {
				item = i.Item
			}
		}
		return item != ""
	})
	return item
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}
