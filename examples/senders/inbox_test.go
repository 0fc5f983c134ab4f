package senders

import (
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/examples/internal/browser"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// TestInboxScanners runs a mail scanner on the links of the inbox. The scanner
// opens all links by HEAD and GET. The scanner opens some links in Chromium,
// where scripts load each page in a frame, choose, type and submit its form.
// Nothing is decided.
func TestInboxScanners(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatal("LATCHKEY_REQUIRE_SERVERS is 1, and chromium is not installed")
		}
		t.Skip("NOT TESTED: chromium is not installed (Debian: apt-get install chromium)")
	}
	const browsed = 20 // each page takes a frame
	hub := asynctest.NewHub(t, async.Options{})
	typ, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	box, err := inbox.New(hub, inbox.Options{
		Types: []answer.Type{typ}, Links: &webhook.Keys{Keys: map[string][]byte{"k": []byte("0123456789abcdef0123456789abcdef")}, Active: "k"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	done := make(chan struct{}, 1)
	var links []string
	mux := http.NewServeMux()
	mux.Handle("/inbox/", http.StripPrefix("/inbox", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := &statusWriter{ResponseWriter: w, status: 200}
		box.ServeHTTP(got, r)
		mu.Lock()
		seen[fmt.Sprint(r.Method, " ", got.status)]++
		mu.Unlock()
	})))
	mux.HandleFunc("GET /mails", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, inboxScanner(links[:browsed]))
	})
	mux.HandleFunc("POST /scanned", func(http.ResponseWriter, *http.Request) { done <- struct{}{} })
	server := httptest.NewServer(mux)
	defer server.Close()
	ids := make([]string, mails)
	for i := range ids {
		c := beginInbox(t, hub, box)
		ids[i] = c.ID()
		link, err := box.Link(server.URL+"/inbox", c, "ada@example.com", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, link)
	}
	for _, link := range links {
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			r, err := http.NewRequestWithContext(t.Context(), method, link+"?approved=true&_name=Ada&_do=vote", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-popup-blocking",
		"--user-data-dir="+browser.Profile(t), "--virtual-time-budget=600000", "--dump-dom", server.URL+"/mails").Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	select {
	case <-done:
	default:
		t.Fatalf("the scripts have not come to their end:\n%.2000s", out)
	}
	mu.Lock()
	defer mu.Unlock()
	t.Log("requests by method and status:", seen)
	if seen["POST 303"] > 0 || seen["POST 403"] < browsed || seen["GET 200"] < mails || seen["HEAD 200"] < mails {
		t.Errorf("the inbox answered %v, want no POST 303, at least %d POST 403, and each page", seen, browsed)
	}
	for i, id := range ids {
		c, err := hub.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if c.Info().State != async.Waiting || len(c.Notes()) != 1 {
			t.Errorf("mail %d: the activity is %v with %d notes, want it to wait with the request alone", i, c.Info().State, len(c.Notes()))
		}
	}
}

// inboxScanner is a page that fills in and submits the form of each link: once
// with a form of its own, and once with fetch.
func inboxScanner(links []string) string {
	var b strings.Builder
	b.WriteString("<!doctype html><title>mails</title>\n<iframe name=sink></iframe>\n")
	for _, link := range links {
		fmt.Fprintf(&b, "<a href=%q>Decide</a>\n", html.EscapeString(link))
	}
	b.WriteString(`<script>
const wait = (t) => new Promise((r) => setTimeout(r, t));
(async () => {
  for (const a of document.querySelectorAll("a")) {
    const page = new DOMParser().parseFromString(await (await fetch(a.href)).text(), "text/html");
    const form = page.querySelector("form[method=post]");
    if (!form) throw new Error("no form");
    const fields = new URLSearchParams({_name: "Ada", approved: "true", _comment: "", _do: "vote"});
    await fetch(a.href, {method: "POST", body: fields}).catch(() => {});
    const f = document.createElement("form");
    f.method = "post"; f.action = a.href; f.target = "sink";
    for (const [name, value] of fields) {
      const i = document.createElement("input");
      i.name = name; i.value = value;
      f.append(i);
    }
    document.body.append(f);
    f.submit();
    await wait(50);
    f.remove();
  }
  await wait(2000);
  await fetch("/scanned", {method: "POST"});
})();
</script>`)
	return b.String()
}

// beginInbox runs an activity that posts a request.
func beginInbox(t *testing.T, h *async.Hub, box *inbox.Inbox) (c async.Callback) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, h, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			c = p.Callback
			_, err := box.Post(ctx, c, inbox.Request{Title: "Dinner", For: []string{"ada@example.com"}})
			return err
		})
	}, activity.RegisterOptions{Name: "mail"})
	if _, err := env.ExecuteActivity("mail"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v", err)
	}
	return c
}
