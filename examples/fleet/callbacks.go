package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/latchkey-go/latchkey/examples/internal/httpserver"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// takeAnswers runs the process that accepts answers. takeAnswers prints its URL
// when it is ready.
func takeAnswers(ctx context.Context, storeURL string, ready func(url string)) (err error) {
	m, err := join(ctx, storeURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.leave()) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// If this handler returns 200, the answer reaches the workflow even if a
	// process dies. A sender that gets no 200 because the process was killed
	// repeats the answer.
	answers, err := answer.For[Answer](answer.TypeOptions{})
	if err != nil {
		return err
	}
	handler, err := webhook.New(m.hub, webhook.Options{Types: []answer.Type{answers}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/callbacks/", http.StripPrefix("/callbacks", handler))
	server := httpserver.New(mux)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // Close ends Serve
	defer serving.Wait()
	defer func() { _ = server.Close() }()
	ready("http://" + l.Addr().String() + "/callbacks/")
	return m.run(ctx)
}
