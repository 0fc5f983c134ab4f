package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
	"github.com/latchkey-go/latchkey/internal/million"
	"github.com/latchkey-go/latchkey/store"
)

// TestScrapes measures what a scrape each second costs a process. With
// LATCHKEY_SOAK=1, there are a million entries and ten minutes of scrapes;
// otherwise there are 3,000 entries and a few scrapes. The test logs the
// processor time and does not judge it, because it depends on the machine.
func TestScrapes(t *testing.T) {
	for _, name := range []string{"memory", "redis"} {
		t.Run(name, func(t *testing.T) {
			entries := store.NewMemory()
			if name == "redis" {
				entries = onRedis(t)
			}
			m := meter{t: t, entries: million.Fill(t, entries), every: time.Millisecond}
			if os.Getenv("LATCHKEY_SOAK") == "1" {
				m.idle, m.scrapes, m.every = 3*time.Minute, 600, time.Second
			}
			m.withoutScrapes(entries)
			m.withScrapes(entries)
		})
	}
}

// meter measures a hub that has nothing else to do.
type meter struct {
	t       *testing.T
	entries int
	idle    time.Duration // how long the meter measures without scrapes
	scrapes int           // minimum number of scrapes; more follow until the page has the number of entries
	every   time.Duration
}

func (m meter) withoutScrapes(s store.Store) {
	defer runHub(m.t, s, nil)()
	before, begun := million.CPU(), time.Now()
	if err := pause(m.t.Context(), m.idle); err != nil {
		m.t.Fatal(err)
	}
	m.log("without scrapes and gauges", million.CPU()-before, time.Since(begun))
}

func (m meter) withScrapes(s store.Store) {
	m.t.Helper()
	observer, page, err := newMetrics()
	if err != nil {
		m.t.Fatal(err)
	}
	server := httptest.NewServer(page)
	defer server.Close()
	before, begun := million.CPU(), time.Now()
	defer runHub(m.t, s, observer)()
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for n, counted := 0, false; n < m.scrapes || !counted; n++ {
		counted = strings.Contains(scrape(m.t, server.URL), `latchkey_entries{activity_type="Approve"`)
		select {
		case <-tick.C:
		case <-m.t.Context().Done():
			m.t.Fatal("the page lacks the number of entries")
		}
	}
	m.log("with scrapes", million.CPU()-before, time.Since(begun))
}

func (m meter) log(what string, used, took time.Duration) {
	m.t.Helper()
	m.t.Logf("%d entries, %s: %v of processor time in %v, %.2f %% of a core", m.entries, what, used, took, 100*used.Seconds()/took.Seconds())
}

// runHub runs a hub until the function that it returns is called.
func runHub(t *testing.T, s store.Store, observer async.Observer) (end func()) {
	t.Helper()
	hub, err := async.New(async.Options{Store: s, Completer: new(asynctest.Completer), Observer: observer, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	return func() { cancel(); <-ended }
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("a scrape: %d, %v", answer.StatusCode, err)
	}
	return string(body)
}

// onRedis returns a store on a Redis that ends with the test.
func onRedis(t *testing.T) store.Store {
	t.Helper()
	if err := redisserver.Find(); err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatalf("LATCHKEY_REQUIRE_SERVERS is 1, and %v", err)
		}
		t.Skip("NOT TESTED:", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	directory := t.TempDir()
	go func() { ended <- redisserver.Run(ctx, directory, func(url string) { ready <- url }) }()
	select {
	case url := <-ready:
		t.Cleanup(func() { cancel(); <-ended })
		s, err := store.Open(t.Context(), url+"?pages=true")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() }) // nothing is lost that a test reads
		return s
	case err := <-ended:
		cancel()
		t.Fatal(err)
		return nil
	}
}
