package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/httpserver"
	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/redis" // supports redis:// URLs of the store
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// settings is the gateway's configuration, from a file that only its user can
// read.
type settings struct {
	Store         string // URL
	LinkKey       []byte // of sealed links
	WebhookSecret string // the payment provider signs with this secret
}

func (s settings) keys() *webhook.Keys {
	return &webhook.Keys{Keys: map[string][]byte{"2026-11": s.LinkKey}, Active: "2026-11"}
}

// serveGateway runs the gateway's process. serveGateway prints its URL when it
// is ready.
func serveGateway(ctx context.Context, path string, ready func(url string)) (err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s settings
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	entries, err := store.Open(ctx, s.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, entries.Close()) }()
	// Without a completer the hub only accepts answers. A hub of another
	// process delivers the answers.
	hub, err := async.New(async.Options{Store: entries})
	if err != nil {
		return err
	}
	handler, err := routes(hub, s)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := httpserver.New(handler)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // Close ends Serve
	defer serving.Wait()
	defer func() { _ = server.Close() }()
	ready("http://" + l.Addr().String())
	<-ctx.Done()
	return nil
}

// routes returns the gateway's handler.
func routes(hub *async.Hub, s settings) (http.Handler, error) {
	approvals, err := answer.For[Approval](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	payments, err := answer.For[Payment](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	answers, err := webhook.New(hub, webhook.Options{Types: []answer.Type{approvals}, Keys: s.keys()})
	if err != nil {
		return nil, err
	}
	verifier, err := webhook.Standard(s.WebhookSecret)
	if err != nil {
		return nil, err
	}
	paid, err := webhook.Receive(func(ctx context.Context, _ webhook.Message, body []byte) error {
		var event struct {
			Type  string          `json:"type"`
			Order string          `json:"order"`
			Data  json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(body, &event); err != nil || event.Type != "payment.received" {
			return webhook.ErrIgnore
		}
		// A payment may arrive before its activity.
		p, err := async.OpenKey[Payment](ctx, hub, event.Order, async.KeyOptions{Namespace: namespace, Early: 24 * time.Hour})
		if err != nil {
			return err
		}
		return payments.Complete(ctx, p.Callback, "application/json", event.Data)
	}, webhook.ReceiverOptions{Verifier: verifier})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/answers/", http.StripPrefix("/answers", answers))
	mux.Handle("/payments", paid)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answers.OpenAPI())
	})
	return mux, nil
}
