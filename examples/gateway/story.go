package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/examples/internal/devserver"
	"github.com/latchkey-go/latchkey/examples/internal/live"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
	"github.com/latchkey-go/latchkey/store"
)

const orders = 3

// errLate ends the example if it takes too long. The example normally takes a
// quarter of a minute.
var errLate = errors.New("the example has not ended within eight minutes")

// story is the program that starts and checks the gateway.
type story struct {
	*live.Story
	directory string
	settings  settings
	server    *devserver.Server
	fail      func(error)
	base      string // URL of the gateway

	mu    sync.Mutex
	links map[string]string // by order
}

// tell starts all processes, runs the example, and stops the processes.
func tell(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := redisserver.Find(); err != nil {
		return err
	}
	s := &story{Story: live.New(stdout), links: make(map[string]string)}
	if s.directory, err = os.MkdirTemp("", "latchkey-gateway-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.directory)) }()
	// The example stops the server, so it must not use a server that others
	// use.
	s.server, err = devserver.Start(ctx, devserver.Options{Database: filepath.Join(s.directory, "temporal.db"), Log: notices{stderr}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.server.Stop()) }()

	ctx, cancel := context.WithTimeoutCause(ctx, 8*time.Minute, errLate)
	defer cancel()
	ctx, s.fail = context.WithCancelCause(ctx)
	defer s.fail(nil)
	if err = s.run(ctx); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
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

// spawn starts a process, and returns it with the line that it prints when it is
// ready.
func (s *story) spawn(ctx context.Context, args ...string) (p *child.Process, said string, err error) {
	lines := make(chan string, 1)
	p, err = child.Start(child.Options{Name: args[0], Args: args, Ended: s.fail, Heard: func(line string) { lines <- line }})
	if err != nil {
		return nil, "", err
	}
	select {
	case said = <-lines:
		return p, said, nil
	case <-ctx.Done():
		p.Stop()
		return nil, "", context.Cause(ctx)
	}
}

func (s *story) run(ctx context.Context) error {
	redis, url, err := s.spawn(ctx, "redis", s.directory)
	if err != nil {
		return err
	}
	defer redis.Stop()
	key := make([]byte, 32)
	rand.Read(key)
	secret := make([]byte, 32)
	rand.Read(secret)
	s.settings = settings{Store: url, LinkKey: key, WebhookSecret: "whsec_" + base64.StdEncoding.EncodeToString(secret)}
	b, err := json.Marshal(s.settings)
	if err != nil {
		return err
	}
	path := filepath.Join(s.directory, "gateway.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	gateway, base, err := s.spawn(ctx, "gateway", path)
	if err != nil {
		return err
	}
	defer gateway.Stop()
	s.base = base

	temporal, end, err := s.work(ctx)
	if err != nil {
		return err
	}
	defer end()
	s.Say("A worker runs activities. A gateway accepts their answers and has no access to Temporal.")
	s.Say("%d orders are placed. Each waits for a person's approval and for a payment.", orders)
	runs := make(map[string]client.WorkflowRun)
	for n := range orders {
		order := fmt.Sprintf("order-%d", n+1)
		if runs[order], err = temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: order, TaskQueue: queue}, Order, order); err != nil {
			return err
		}
	}
	if err := s.until(ctx, "all links are sent", func() bool {
		for n := range orders {
			if s.link(n) == "" {
				return false
			}
		}
		return true
	}); err != nil {
		return err
	}
	if err := s.server.Stop(); err != nil {
		return err
	}
	s.Say("\nTemporal is stopped.")
	if err := s.answer(ctx); err != nil {
		return err
	}
	if err := s.server.Restart(ctx); err != nil {
		return err
	}
	s.Say("\nTemporal runs again. The worker's hub delivers what the gateway has accepted.")
	for n := range orders {
		order := fmt.Sprintf("order-%d", n+1)
		var got string
		if err := runs[order].Get(ctx, &got); err != nil {
			return err
		}
		s.Say("  %s", got)
		if want := fmt.Sprintf("%s: approved true by Ada, paid %d cents", order, 100*(n+1)); got != want {
			return fmt.Errorf("the workflow returned %q, want %q", got, want)
		}
	}
	s.Say("\nAll as expected: %d workflows, each with the answers that were accepted while Temporal was away.", orders)
	return nil
}

const queue = "latchkey-gateway"

// work starts the worker and the hub that delivers.
func (s *story) work(ctx context.Context) (temporal client.Client, end func(), err error) {
	options := s.server.ClientOptions()
	quiet := slog.New(slog.DiscardHandler) // the outage is intended
	options.Logger = sdklog.NewStructuredLogger(quiet)
	if temporal, err = client.DialContext(ctx, options); err != nil {
		return nil, nil, err
	}
	entries, err := store.Open(ctx, s.settings.Store)
	if err != nil {
		temporal.Close()
		return nil, nil, err
	}
	stop := func() { _ = entries.Close(); temporal.Close() }
	reporter, err := completer.New(completer.Client{Client: temporal, Options: options})
	if err != nil {
		stop()
		return nil, nil, err
	}
	hub, err := async.New(async.Options{Store: entries, Completer: reporter, Logger: quiet})
	if err != nil {
		stop()
		return nil, nil, err
	}
	w := worker.New(temporal, queue, worker.Options{OnFatalError: s.fail})
	w.RegisterWorkflow(Order)
	w.RegisterActivity(&Activities{hub: hub, keys: s.settings.keys(), base: s.base, mail: func(order, link string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.links[order] = link
	}})
	if err := w.Start(); err != nil {
		stop()
		return nil, nil, err
	}
	running, halt := context.WithCancel(ctx)
	var outbox sync.WaitGroup
	outbox.Go(func() { _ = hub.Run(running) }) // Run ends when running ends
	return temporal, func() { halt(); outbox.Wait(); w.Stop(); stop() }, nil
}

// link returns the link of an order, or "" if it has not been sent yet.
func (s *story) link(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[fmt.Sprintf("order-%d", n+1)]
}

// answer plays the people, a mail scanner, the payment provider, and a forger.
func (s *story) answer(ctx context.Context) error {
	for n := range orders {
		order := fmt.Sprintf("order-%d", n+1)
		link := s.link(n)
		paid := fmt.Sprintf(`{"type":"payment.received","order":%q,"data":{"cents":%d}}`, order, 100*(n+1))
		for _, step := range []struct {
			what, method, url, body string
			header                  http.Header
			status                  int
			says                    string
		}{
			{"a mail scanner opens the link", "GET", link, "", nil, 200, `"state":"waiting"`},
			{"a mail scanner submits a form", "POST", link + "/complete", "approved=true", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 415, `"media-type"`},
			{"an empty answer", "POST", link + "/complete", `{}`, nil, 422, `"/approved"`},
			{"a link that was changed", "POST", link + "A/complete", `{"approved":true,"by":"Eve"}`, nil, 404, `"bad-link"`},
			{"a rejection, which the link doesn't allow", "POST", link + "/reject", `{"message":"no"}`, nil, 403, `"not-allowed"`},
			{"Ada approves", "POST", link + "/complete", `{"approved":true,"by":"Ada"}`, nil, 200, `"delivered":false`},
			{"Ada clicks again", "POST", link + "/complete", `{"approved":true,"by":"Ada"}`, nil, 200, `"delivered":false`},
			{"a different answer by Bob", "POST", link + "/complete", `{"approved":false,"by":"Bob"}`, nil, 409, `"settled"`},
			{"a payment with a forged signature", "POST", s.base + "/payments", paid, http.Header{"Webhook-Id": {"msg"}, "Webhook-Timestamp": {"1"}, "Webhook-Signature": {"v1,AAAA"}}, 401, `"signature"`},
			{"the payment provider's message", "POST", s.base + "/payments", paid, s.signed("msg_"+order, paid), 204, ""},
			{"the same message again", "POST", s.base + "/payments", paid, s.signed("msg_"+order, paid), 204, ""},
		} {
			status, said, err := send(ctx, step.method, step.url, step.body, step.header)
			if err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
			if status != step.status || !strings.Contains(said, step.says) {
				return fmt.Errorf("%s: status %d, want %d: %s", step.what, status, step.status, said)
			}
			if n == 0 {
				s.Say("  %d  %s", status, step.what)
			}
		}
	}
	s.Say("  The others are answered in the same way.")
	return nil
}

// signed returns the headers of a Standard Webhooks message.
func (s *story) signed(id, body string) http.Header {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.settings.WebhookSecret, "whsec_"))
	at := strconv.FormatInt(time.Now().Unix(), 10)
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, id+"."+at+"."+body)
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))}}
}

func send(ctx context.Context, method, url, body string, header http.Header) (status int, said string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if header != nil {
		r.Header = header
	}
	if method == http.MethodPost && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (s *story) until(ctx context.Context, what string, come func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !come() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w while waiting until %s", context.Cause(ctx), what)
		}
	}
	return nil
}
