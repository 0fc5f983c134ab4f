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
	"github.com/latchkey-go/latchkey/web/webhook"
)

const (
	mails  = 1000
	opened = 100 // number of links that are also opened in a browser; with LATCHKEY_SOAK=1, all of them
)

type Decision struct {
	Approved bool `json:"approved"`
}

// TestScanners runs a mail scanner on the links of 1,000 mails. The scanner
// opens each link by HEAD and GET. The scanner opens some links in Chromium,
// where scripts click on the links and submit forms to them and to their acting
// routes. Nothing is answered.
func TestScanners(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatal("LATCHKEY_REQUIRE_SERVERS is 1, and chromium is not installed")
		}
		t.Skip("NOT TESTED: chromium is not installed (Debian: apt-get install chromium)")
	}
	hub := asynctest.NewHub(t, async.Options{})
	typ, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key := []byte("0123456789abcdef0123456789abcdef")
	handler, err := webhook.New(hub, webhook.Options{
		Types: []answer.Type{typ}, Keys: &webhook.Keys{Keys: map[string][]byte{"k": key}, Active: "k"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := make(map[string]int) // counts requests by method and status
	mux := http.NewServeMux()
	mux.Handle("/answers/", http.StripPrefix("/answers", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := &statusWriter{ResponseWriter: w, status: 200}
		handler.ServeHTTP(got, r)
		mu.Lock()
		seen[fmt.Sprint(r.Method, " ", got.status)]++
		mu.Unlock()
	})))
	ids := make([]string, mails)
	links := make([]string, mails)
	var pages [][]string
	server := httptest.NewServer(mux)
	defer server.Close()
	for i := range ids {
		ids[i] = begin(t, hub, fmt.Sprintf("mail-%d", i))
		links[i], err = handler.Link(server.URL+"/answers", webhook.Claims{
			ID: ids[i], Allow: webhook.Look | webhook.Complete | webhook.Fail | webhook.Cancel | webhook.Heartbeat, Expires: time.Now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	browsed := opened
	if os.Getenv("LATCHKEY_SOAK") != "" {
		browsed = mails
	}
	const each = 50 // number of links on a page
	for i := 0; i < browsed; i += each {
		pages = append(pages, links[i:i+each])
	}
	done := make(chan string, len(pages))
	mux.HandleFunc("GET /mails/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.PathValue("n"), &n)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, scanner(pages[n]))
	})
	mux.HandleFunc("POST /scanned/{n}", func(_ http.ResponseWriter, r *http.Request) { done <- r.PathValue("n") })

	for _, link := range links {
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			for _, path := range []string{"", "/complete", "/reject", "/heartbeat"} {
				r, err := http.NewRequestWithContext(t.Context(), method, link+path, nil)
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
	}
	for n := range pages {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-popup-blocking",
			"--user-data-dir="+browser.Profile(t), "--virtual-time-budget=600000", "--dump-dom", fmt.Sprintf("%s/mails/%d", server.URL, n))
		out, err := cmd.Output()
		cancel()
		if err != nil {
			t.Fatalf("chromium: %v\n%s", err, out)
		}
		select {
		case <-done:
		default:
			t.Fatalf("the scripts of page %d have not come to their end:\n%.2000s", n, out)
		}
	}

	mu.Lock()
	defer mu.Unlock()
	t.Log("requests by method and status:", seen)
	for answer, want := range map[string]int{"GET 200": mails, "HEAD 200": mails, "GET 405": mails, "HEAD 405": mails, "POST 405": browsed, "POST 415": browsed, "POST 403": browsed} {
		if seen[answer] < want {
			t.Errorf("the handler answered %q %d times, want it for each of %d mails", answer, seen[answer], want)
		}
	}
	if n := seen["POST 200"]; n > 0 {
		t.Errorf("%d POSTs were accepted", n)
	}
	for i, id := range ids {
		c, err := hub.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if state := c.Info().State; state != async.Waiting {
			t.Errorf("mail %d: the activity is %v, want it to wait", i, state)
		}
	}
}

// scanner is a page that treats each link as a scanner in a browser does: it
// fetches the link, opens it in a frame and clicks on it. scanner also submits
// forms of each kind to the link and to its acting routes. A mail comes from
// another site, so forms are also submitted from a sandboxed frame.
func scanner(links []string) string {
	var b strings.Builder
	b.WriteString("<!doctype html><title>mails</title>\n")
	for _, link := range links {
		fmt.Fprintf(&b, "<a target=sink href=%q>Approve</a>\n", html.EscapeString(link))
	}
	for n := range 8 {
		fmt.Fprintf(&b, "<iframe name=sink%d></iframe>\n", n)
	}
	b.WriteString(`<iframe name=sink></iframe><script>
const wait = (t) => new Promise((r) => setTimeout(r, t));
const types = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
let turn = 0;
(async () => {
  for (const a of document.querySelectorAll("a")) {
    await fetch(a.href).catch(() => {});
    a.click();
    for (const path of ["", "/complete", "/fail", "/reject", "/cancel", "/heartbeat"]) {
      const type = types[turn++ % types.length];
      const f = document.createElement("form");
      f.method = "post"; f.action = a.href + path; f.enctype = type; f.target = "sink" + turn % 8;
      if (path && type != "application/x-www-form-urlencoded") {
        const i = document.createElement("input");
        i.name = '{"approved":true,"x":"'; i.value = '"}';
        f.append(i);
      }
      document.body.append(f);
      f.submit();
      await wait(5);
      f.remove();
    }
    // A mail that is shown in a sandbox has an origin of its own.
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts allow-forms";
    frame.srcdoc = "<script>fetch(" + JSON.stringify(a.href + "/complete") + ", {method: 'POST', mode: 'no-cors', body: '{\"approved\":true}'}).catch(() => {});" +
      "fetch(" + JSON.stringify(a.href + "/heartbeat") + ", {method: 'POST', mode: 'no-cors'}).catch(() => {})<\/script>";
    document.body.append(frame);
    await wait(10);
  }
  await wait(2000);
  await fetch(location.pathname.replace("mails", "scanned"), {method: "POST"});
})();
</script>`)
	return b.String()
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// begin runs an activity until it waits, and returns its callback ID.
func begin(t *testing.T, h *async.Hub, key string) (id string) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, h, async.StartOptions{Key: key}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
	}, activity.RegisterOptions{Name: "mail"})
	if _, err := env.ExecuteActivity("mail"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v", err)
	}
	return id
}
