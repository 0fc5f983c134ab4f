package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// sender simulates how a third party delivers messages to its customers'
// endpoints.
type sender struct {
	name     string
	header   func(id string, at time.Time, body string) http.Header
	verifier func() (webhook.Verifier, error)
	schedule []time.Duration // after each failure
	timeout  time.Duration
	patience time.Duration // how long the sender accepts an endpoint that only fails

	mu       sync.Mutex
	disabled string    // why
	failing  time.Time // since when the endpoint only fails
}

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }

func senders() []*sender {
	hourly := make([]time.Duration, 72)
	for i := range hourly {
		hourly[i] = time.Hour
	}
	return []*sender{
		{
			name: "svix", header: standardHeader, verifier: func() (webhook.Verifier, error) { return webhook.Standard(standardSecret) },
			schedule: []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, hours(2), hours(5), hours(10), hours(10)},
			timeout:  15 * time.Second, patience: hours(120),
		},
		{
			name: "stripe", header: func(_ string, at time.Time, body string) http.Header { return stripeHeader(at, body) },
			verifier: func() (webhook.Verifier, error) { return webhook.Stripe(stripeSecret) },
			schedule: []time.Duration{5 * time.Minute, 30 * time.Minute, hours(1), hours(2), hours(4), hours(8), hours(12), hours(12), hours(12)},
			timeout:  10 * time.Second, patience: hours(72),
		},
		{ // GitHub itself repeats nothing: its customer's script requests the failed messages again
			name: "github", header: func(_ string, _ time.Time, body string) http.Header { return githubHeader(body) },
			verifier: func() (webhook.Verifier, error) { return webhook.GitHub(githubSecret) },
			schedule: hourly, timeout: 10 * time.Second, patience: hours(72),
		},
	}
}

// deliver sends a message until it is accepted or the sender gives up.
func (s *sender) deliver(ctx context.Context, p *process, id, body string) (taken bool) {
	for _, wait := range append(s.schedule, -1) {
		status, err := p.post(ctx, s, id, body)
		s.mu.Lock()
		switch {
		case s.disabled != "":
			s.mu.Unlock()
			return false
		case err == nil && status/100 == 2:
			taken, s.failing = true, time.Time{}
		case err == nil && (status == http.StatusGone || status == http.StatusNotFound):
			s.disabled = fmt.Sprintf("it answered %d", status)
		case s.failing.IsZero():
			s.failing = time.Now()
		case time.Since(s.failing) > s.patience:
			s.disabled = "it fails for days"
		}
		s.mu.Unlock()
		if taken || wait < 0 {
			return taken
		}
		time.Sleep(wait)
	}
	return false
}

// process is the receiver's process, which is killed and restarted.
type process struct {
	t       *testing.T
	entries store.Store
	reports completer.Completer
	logger  *slog.Logger

	mu    sync.Mutex
	live  map[string]http.Handler // nil while the process is dead
	store *mortal
	end   func()
}

// mortal is a process's connection to the store, which ends with the process.
// Some replies are lost.
type mortal struct {
	store.Store
	mu   sync.Mutex
	away bool
	draw *rand.Rand
}

func (m *mortal) is(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *mortal) lost(chance float64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away || m.draw.Float64() < chance
}

func (m *mortal) Get(ctx context.Context, id string) (store.Entry, error) {
	if m.lost(0.01) {
		return store.Entry{}, errAway
	}
	return m.Store.Get(ctx, id)
}

func (m *mortal) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if m.lost(0.02) {
		return 0, errAway
	}
	v, err := m.Store.Put(ctx, e)
	if m.lost(0.05) {
		return 0, errors.New("the reply was lost")
	}
	return v, err
}

func (m *mortal) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	if m.lost(0.01) {
		return nil, errAway
	}
	return m.Store.Claim(ctx, now, until, n)
}

func (p *process) start(list []*sender, seed uint64) {
	m := &mortal{Store: p.entries, draw: rand.New(rand.NewPCG(seed, 1))}
	hub, err := async.New(async.Options{Store: m, Completer: p.reports, PollInterval: time.Minute, Logger: p.logger})
	if err != nil {
		p.t.Error(err)
		return
	}
	live := make(map[string]http.Handler)
	for _, s := range list {
		v, err := s.verifier()
		if err != nil {
			p.t.Error(err)
			return
		}
		live[s.name], err = webhook.Receive(func(ctx context.Context, _ webhook.Message, body []byte) error {
			var m struct {
				Order    string
				Decision Decision
			}
			if err := json.Unmarshal(body, &m); err != nil {
				return webhook.ErrIgnore
			}
			pending, err := async.OpenKey[Decision](ctx, hub, m.Order, async.KeyOptions{Namespace: "default-test-namespace", Early: hours(100)})
			if err != nil {
				return err
			}
			return pending.Complete(ctx, m.Decision)
		}, webhook.ReceiverOptions{Verifier: v, Logger: p.logger})
		if err != nil {
			p.t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = hub.Run(ctx) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live, p.store = live, m
	p.end = func() { m.is(true); cancel(); <-ended }
}

func (p *process) kill() {
	p.mu.Lock()
	end := p.end
	p.live = nil
	p.mu.Unlock()
	end()
}

// post sends a message. A process that dies before the reply sends none.
func (p *process) post(ctx context.Context, s *sender, id, body string) (int, error) {
	p.mu.Lock()
	h := p.live[s.name]
	p.mu.Unlock()
	if h == nil {
		return 0, errors.New("connection refused")
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = s.header(id, time.Now(), body)
	answered := make(chan int, 1)
	go func() {
		w := &recorder{status: http.StatusOK}
		h.ServeHTTP(w, req)
		answered <- w.status
	}()
	select {
	case status := <-answered:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.live == nil {
			return 0, errors.New("the connection was closed")
		}
		return status, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestSenders makes three senders deliver messages for days. During this time,
// the receiver, the store and Temporal are repeatedly unavailable. Each message
// has one outcome, and no sender has disabled the endpoint.
func TestSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSender = 25
		draw := rand.New(rand.NewPCG(21, 2026))
		temporal := new(asynctest.Completer)
		var mu sync.Mutex
		var trouble string // the trouble of Temporal: "", "down" or "hangs"
		temporal.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
			mu.Lock()
			now := trouble
			mu.Unlock()
			switch now {
			case "down":
				return serviceerror.NewUnavailable("connection refused")
			case "hangs":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		entries := store.NewMemory()
		log := new(lockedBuffer)
		p := &process{t: t, entries: entries, reports: temporal, logger: slog.New(slog.NewTextHandler(log, nil))}
		list := senders()
		p.start(list, 0)
		worker, err := async.New(async.Options{Store: entries, Completer: temporal, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}

		var sending sync.WaitGroup
		taken := make(map[string]int)
		for _, s := range list {
			for n := range perSender {
				order := fmt.Sprintf("%s-%d", s.name, n)
				body := fmt.Sprintf(`{"id":"evt_%s","order":%q,"decision":{"approved":true,"by":%q}}`, order, order, order)
				at, again := time.Duration(draw.Int64N(int64(hours(24)))), draw.IntN(3)
				sending.Go(func() {
					time.Sleep(at)
					for range 1 + again { // a sender may repeat an accepted message
						if s.deliver(t.Context(), p, "msg_"+order, body) {
							mu.Lock()
							taken[order]++
							mu.Unlock()
						}
						time.Sleep(time.Hour)
					}
				})
			}
		}
		sending.Go(func() { // activities begin before or after their message
			for n := range perSender {
				for _, s := range list {
					time.Sleep(time.Duration(draw.Int64N(int64(40 * time.Minute))))
					startOn[Decision](t, worker, async.StartOptions{Key: fmt.Sprintf("%s-%d", s.name, n)})
				}
			}
		})
		chaos := rand.New(rand.NewPCG(4, 2))
		for n := range 60 { // about two and a half days
			time.Sleep(time.Duration(chaos.Int64N(int64(time.Hour))))
			length := time.Duration(chaos.Int64N(int64(time.Hour)))
			switch n % 4 {
			case 0:
				p.kill()
				time.Sleep(length)
				p.start(list, uint64(n))
			case 1:
				p.store.is(true)
				time.Sleep(length)
				p.store.is(false)
			default:
				mu.Lock()
				trouble = []string{"down", "hangs"}[n%2]
				mu.Unlock()
				time.Sleep(length)
				mu.Lock()
				trouble = ""
				mu.Unlock()
			}
		}
		sending.Wait()
		time.Sleep(hours(2)) // accepted answers are delivered
		p.kill()

		outcomes := make(map[string]int)
		for _, call := range temporal.Completed() {
			var d Decision
			if err := json.Unmarshal(call.Outcome.Result.GetPayloads()[0].GetData(), &d); err != nil {
				t.Fatal(err)
			}
			outcomes[d.By]++
		}
		for _, s := range list {
			if s.disabled != "" {
				t.Errorf("%s has disabled the endpoint: %s", s.name, s.disabled)
			}
			for n := range perSender {
				if order := fmt.Sprintf("%s-%d", s.name, n); outcomes[order] != 1 || taken[order] == 0 {
					t.Errorf("%s: %d outcomes, taken %d times", order, outcomes[order], taken[order])
				}
			}
		}
		if log := log.String(); !strings.Contains(log, "status=503") {
			t.Error("nothing failed meanwhile: is there any trouble at all?")
		}
	})
}
