package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/httpserver"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// takeAnswers is a process that takes answers. It says its URL when it is
// ready.
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
	mux := http.NewServeMux()
	mux.Handle("POST /callbacks/{id}", callbacks{m.hub})
	server := httpserver.New(mux)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // it ends by Close
	defer serving.Wait()
	defer func() { _ = server.Close() }()
	ready("http://" + l.Addr().String() + "/callbacks/")
	return m.run(ctx)
}

// callbacks is the handler of answers.
type callbacks struct{ hub *async.Hub }

// ServeHTTP takes an answer. What it says with a 204 is a promise: the answer
// reaches the workflow, whatever dies. What it doesn't say, since it was
// killed, the sender finds out by sending the same again.
func (c callbacks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer Answer
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			http.Error(w, "the answer is too large", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "an answer in JSON is needed", http.StatusBadRequest)
		return
	}
	p, err := async.Open[Answer](r.Context(), c.hub, r.PathValue("id"))
	if err == nil {
		err = p.Complete(r.Context(), answer)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	status, _ := webhook.Status(err)
	w.WriteHeader(status)
}
