package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

// TestAuto runs the whole program with a server of its own.
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

// temporalVariables are variables that can each name a server.
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

// TestAutoNotices: if the site gives an unexpected answer, the story fails.
func TestAutoNotices(t *testing.T) {
	t.Parallel()
	s := newSite(t, server.Server(t))
	for name, c := range map[string]struct {
		base string
		want string
	}{
		"a site that does nothing": {serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {}), "signs in: status 200"},
		"no site":                  {"http://127.0.0.1:1", "refused"},
	} {
		o := *s.office
		o.base = c.base
		if err := tell(s.context(), &o, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
	run, err := s.office.File(s.context(), Expense{Employee: "ada@example.com", Name: "Ada", Purpose: "pens", Cents: 3_10})
	if err != nil {
		t.Fatal(err)
	}
	path := s.waits("grace", "Expense of €3.10")
	story := &teller{office: s.office, out: io.Discard, items: map[string]string{"Expense of €3.10": path}}
	rejects := step{"grace", "Grace rejects", false, "€3.10", reject, http.StatusConflict}
	if err := story.act(s.context(), rejects); err == nil || !strings.Contains(err.Error(), "answers 303, not 409") {
		t.Errorf("another status: %v, want an error", err)
	}
	const right = "Ada, pens (€3.10): rejected by Grace"
	if err := story.verify(s.context(), run, right); err != nil {
		t.Errorf("the result as it is: %v, want no error", err)
	}
	if err := story.verify(s.context(), run, strings.Replace(right, "rejected", "approved", 1)); err == nil {
		t.Error("another result than expected: no error")
	}
	ctx, cancel := context.WithCancel(s.context())
	cancel()
	if err := tell(ctx, s.office, io.Discard); err == nil {
		t.Error("-auto that was interrupted: no error, want one, since the story has not come to its end")
	}
}

func serveFunc(t *testing.T, f http.HandlerFunc) (base string) {
	t.Helper()
	page := httptest.NewServer(f)
	t.Cleanup(page.Close)
	return page.URL
}
