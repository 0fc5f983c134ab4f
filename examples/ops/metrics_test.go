package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// A real Prometheus scrapes a running hub, and evaluates the alert rules of
// docs/observability. The names of the series are those in
// docs/observability.md.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	program := find(t, "prometheus")
	observer, page, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	hub := waitingAndRefused(t, observer)
	if err := hub.Healthy(t.Context()); err == nil {
		t.Error("the hub is healthy before it runs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	mux := http.NewServeMux()
	mux.Handle("/metrics", page)
	server := httptest.NewServer(mux)
	defer server.Close()

	p := startPrometheus(t, program, server.Listener.Addr().String())
	for query, want := range map[string]float64{
		`max(latchkey_entries{state="waiting",activity_type="Approve",class=""})`:        3,
		`max(latchkey_entries{state="settled",activity_type="Capture",class="refused"})`: 1,
		`max(latchkey_entries{state="closed",activity_type="Approve",class=""})`:         1,
		`sum(latchkey_entries)`: 5,
		`latchkey_unreadable`:   0,
		`latchkey_asked_total{activity_type="Approve",class="asked"}`:                        4,
		`sum(latchkey_answers_total{kind="result",verdict="accepted"})`:                      2,
		`latchkey_wait_seconds_count{activity_type="Capture"}`:                               1,
		`latchkey_total_seconds_bucket{activity_type="Approve",le="2.592e+06"}`:              1,
		`latchkey_delivery_tries_total{activity_type="Approve",class="delivered"}`:           1,
		`count(latchkey_store_seconds_count{operation="put",class="ok"})`:                    1,
		`count(max(latchkey_oldest_seconds{state="waiting"}) > 0)`:                           1,
		`count(latchkey_stats_age_seconds < 600)`:                                            1,
		`count(sum(latchkey_claims_total{class="ok"}) > 0)`:                                  1,
		`count(ALERTS{alertname="LatchkeyAnswersRefused",activity_type="Capture"})`:          1,
		`count(ALERTS{alertname="LatchkeyUnreadable"}) or vector(0)`:                         0,
		`count(count by (__name__) ({__name__=~"latchkey.*",id!=""})) or vector(0)`:          0,
		`count(count by (__name__) ({__name__=~"latchkey.*",workflow_id!=""})) or vector(0)`: 0,
	} {
		p.until(query, want)
	}
	p.rulesAreHealthy()
}

// waitingAndRefused returns a hub with three waiting approvals, one that is
// over, and a payment whose answer Temporal refuses.
func waitingAndRefused(t *testing.T, observer async.Observer) *async.Hub {
	t.Helper()
	temporal := new(asynctest.Completer)
	temporal.CompleteFunc = func(_ context.Context, to completer.Target, _ completer.Outcome) error {
		if to.ActivityType == "Capture" {
			return completer.ErrCallRefused
		}
		return nil
	}
	hub, err := async.New(async.Options{
		Store: store.NewMemory(), Completer: temporal, Observer: observer, StatsAge: time.Second,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	ask := func(name string) func(ctx context.Context) (Answer, error) {
		return func(ctx context.Context) (Answer, error) {
			return async.Start(ctx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Answer]) error {
				ids = append(ids, p.ID())
				return nil
			})
		}
	}
	for _, name := range []string{"Approve", "Capture", "Approve", "Approve", "Approve"} {
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(slog.New(slog.DiscardHandler))
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivityWithOptions(ask(name), activity.RegisterOptions{Name: name})
		if _, err := env.ExecuteActivity(name); err != activity.ErrResultPending {
			t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
		}
	}
	for _, id := range ids[:2] {
		p, err := async.Open[Answer](t.Context(), hub, id)
		if err == nil {
			err = p.Complete(t.Context(), Answer{Approved: true})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return hub
}

// find returns the path of a program. If the program is missing, the test is
// skipped. If LATCHKEY_REQUIRE_SERVERS is 1, the test fails instead.
func find(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
		t.Fatalf("LATCHKEY_REQUIRE_SERVERS is 1, and %s is not installed", program)
	}
	t.Skipf("NOT TESTED: %s is not installed: apt-get install %s (Debian, Ubuntu)", program, program)
	return ""
}

// scraper is a running Prometheus.
type scraper struct {
	t      *testing.T
	url    string
	output *bytes.Buffer
	ended  chan error
	ctx    context.Context
}

// startPrometheus starts a Prometheus that scrapes one address each second.
// Prometheus ends with the test.
func startPrometheus(t *testing.T, program, scraped string) *scraper {
	t.Helper()
	rules, err := filepath.Abs("../../docs/observability/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	config := filepath.Join(directory, "prometheus.yml")
	text := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - {job_name: latchkey, static_configs: [{targets: [%q]}]}
`, rules, scraped)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	const tries = 5 // another process may have taken the port
	for range tries {
		p := &scraper{t: t, url: "http://" + freeAddress(t), output: new(bytes.Buffer), ended: make(chan error, 1), ctx: ctx}
		running, stop := context.WithCancel(ctx)
		cmd := exec.CommandContext(running, program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(directory, "data"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"))
		cmd.Stdout, cmd.Stderr = p.output, p.output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { p.ended <- cmd.Wait(); close(p.ended) }()
		if p.ready() {
			t.Cleanup(func() { stop(); <-p.ended })
			return p
		}
		stop()
		<-p.ended
		t.Logf("prometheus did not start:\n%s", p.output)
	}
	t.Fatal("prometheus does not start")
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// ready waits until the server answers. ready returns false if the server has
// ended.
func (p *scraper) ready() bool {
	for {
		if code, _ := p.get("/-/ready", nil); code == http.StatusOK {
			return true
		}
		select {
		case <-p.ended:
			return false
		default:
			p.pause("prometheus is not ready")
		}
	}
}

func (p *scraper) pause(what string) {
	p.t.Helper()
	if err := pause(p.ctx, 200*time.Millisecond); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// get calls the HTTP API. The status is 0 if the server cannot be reached.
func (p *scraper) get(path string, values url.Values) (int, []byte) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.url+path+"?"+values.Encode(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	_, _ = body.ReadFrom(answer.Body)
	return answer.StatusCode, body.Bytes()
}

// until waits until a query has one result, with this value.
func (p *scraper) until(query string, want float64) {
	p.t.Helper()
	for {
		var a struct {
			Data struct{ Result []struct{ Value []any } }
		}
		code, body := p.get("/api/v1/query", url.Values{"query": {query}})
		if code == http.StatusBadRequest {
			p.t.Fatalf("%s: %s", query, body)
		}
		if code == http.StatusOK && json.Unmarshal(body, &a) == nil && len(a.Data.Result) == 1 && len(a.Data.Result[0].Value) == 2 {
			if text, ok := a.Data.Result[0].Value[1].(string); ok {
				if got, err := strconv.ParseFloat(text, 64); err == nil && got == want {
					return
				}
			}
		}
		p.pause(fmt.Sprintf("%s: want %v, the last response is %s", query, want, body))
	}
}

// rulesAreHealthy waits until each alert rule has been evaluated without an
// error.
func (p *scraper) rulesAreHealthy() {
	p.t.Helper()
	for {
		var a struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		if code, body := p.get("/api/v1/rules", nil); code == http.StatusOK && json.Unmarshal(body, &a) == nil && len(a.Data.Groups) == 1 {
			healthy := 0
			for _, r := range a.Data.Groups[0].Rules {
				if r.Health == "err" {
					p.t.Fatalf("the rule %s: %s", r.Name, r.LastError)
				}
				if r.Health == "ok" {
					healthy++
				}
			}
			if rules := len(a.Data.Groups[0].Rules); rules >= 9 && healthy == rules {
				return
			}
		}
		p.pause("the alert rules have not been evaluated")
	}
}
