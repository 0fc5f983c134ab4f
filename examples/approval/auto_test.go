package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

// TestAuto runs the program as a whole, with a server of its own.
func TestAuto(t *testing.T) {
	ownServer(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	want, err := os.ReadFile(filepath.FromSlash("testdata/auto.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-auto"}, &out, &log); err != nil {
		t.Fatalf("-auto failed: %v\n%s", err, out.Bytes())
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("-auto printed:\n%s\nwant as in testdata/auto.txt:\n%s", out.Bytes(), want)
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "devserver: ") {
			t.Errorf("-auto logged %q, want no noise", line)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("-auto left %v (%v), want an empty directory", left, err)
	}
}

// ownServer makes run start the server that this module builds, whatever the
// environment names.
func ownServer(t *testing.T) {
	t.Helper()
	t.Setenv("LATCHKEY_SERVER", devserver.Built)
	for _, name := range temporalVariables {
		t.Setenv(name, "")
	}
}

// temporalVariables each name a server.
var temporalVariables = []string{"TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"}

func TestAutoTwiceOnOneDirectory(t *testing.T) {
	ownServer(t)
	data := t.TempDir()
	for range 2 {
		var out, log bytes.Buffer
		if err := run(t.Context(), []string{"-auto", "-data", data}, &out, &log); err != nil {
			t.Fatalf("-auto failed: %v\n%s", err, out.Bytes())
		}
	}
	if _, err := os.Stat(filepath.Join(data, "latchkey.db")); err != nil {
		t.Errorf("the store's file: %v, want it to stay", err)
	}
}

func TestAutoNoticesAnotherAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(page.Close)
	var out bytes.Buffer
	err := answerAll(s.context(), s.desk, page.URL, &out)
	if err == nil || !strings.Contains(err.Error(), "answers 200, not 303") {
		t.Errorf("with a page that does nothing: %v, want the first wrong answer", err)
	}
}

func TestAutoNoticesAnotherResult(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run, err := s.desk.File(s.context(), samples[0])
	if err != nil {
		t.Fatal(err)
	}
	var item Item
	s.eventually("the expense waits", func() bool {
		items, err := s.desk.List(s.context())
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 1 {
			item = items[0]
		}
		return len(items) == 1
	})
	if err := s.desk.Decide(s.context(), item.ID, Decision{By: "Kay"}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &account{Desk: s.desk, base: s.url, out: &out, runs: map[string]client.WorkflowRun{"Ada": run}}
	const right = "Ada, train tickets (€84.20): rejected by Kay"
	if err := a.verify(s.context(), "Ada", right); err != nil {
		t.Errorf("the result as it is: %v, want no error", err)
	}
	if err := a.verify(s.context(), "Ada", strings.Replace(right, "rejected", "approved", 1)); err == nil {
		t.Error("another result than expected: no error")
	}
	if err := a.offerPayment(s.context(), item); err == nil {
		t.Error("an expense that no longer waits after an answer of the wrong type: no error")
	}
}

func TestAutoEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(s.context())
	cancel()
	if err := answerAll(ctx, s.desk, s.url, new(bytes.Buffer)); err == nil {
		t.Error("-auto that was interrupted: no error, want one, since it hasn't done its work")
	}
}
