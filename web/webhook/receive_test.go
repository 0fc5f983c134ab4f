package webhook_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// first returns a function for Receive that answers by business key.
func first(r *rig) func(context.Context, webhook.Message, []byte) error {
	return func(ctx context.Context, _ webhook.Message, body []byte) error {
		var m struct {
			Order    string
			Decision Decision
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return fmt.Errorf("%w: not one of ours", webhook.ErrIgnore)
		}
		p, err := async.OpenKey[Decision](ctx, r.hub, m.Order, async.KeyOptions{Namespace: "default-test-namespace", Early: time.Hour})
		if err != nil {
			return err
		}
		return p.Complete(ctx, m.Decision)
	}
}

func (r *rig) receiver(f func(context.Context, webhook.Message, []byte) error, v webhook.Verifier) http.Handler {
	r.t.Helper()
	h, err := webhook.Receive(f, webhook.ReceiverOptions{Verifier: v, MaxBody: 1000, Logger: r.logger})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// message sends a message in the format of Standard Webhooks.
func (r *rig) message(h http.Handler, id, body string) response {
	r.t.Helper()
	q := request{method: "POST", path: "/", body: body, header: map[string]string{}}
	for name, values := range standardHeader(id, time.Now(), body) {
		q.header[name] = values[0]
	}
	return r.serve(h, q)
}

// If a repeat would not change anything, the status is 204; it is never 404 or
// 410.
func TestReceiveStatus(t *testing.T) {
	r := newRig(t)
	verifier := must(t)(webhook.Standard(standardSecret))
	for _, c := range []struct {
		err    error
		status int
	}{
		{nil, 204},
		{webhook.ErrIgnore, 204},
		{async.ErrSettled, 204},
		{async.ErrSuperseded, 204},
		{async.ErrClosed, 204},
		{fmt.Errorf("%w: %w", async.ErrClosed, async.ErrAbandoned), 204},
		{async.ErrNotFound, 503},
		{async.ErrTypeMismatch, 503},
		{async.ErrInvalidResult, 503},
		{async.ErrTooLarge, 503},
		{async.ErrKeyInUse, 503},
		{webhook.ErrExpiredLink, 503},
		{context.DeadlineExceeded, 503},
		{errors.New(secret), 503},
	} {
		if c.err != nil {
			c.err = fmt.Errorf("f: %w", c.err)
		}
		h := r.receiver(func(context.Context, webhook.Message, []byte) error { return c.err }, verifier)
		a := r.message(h, "msg_1", `{}`)
		if a.status != c.status {
			t.Errorf("%v: status %d, want %d", c.err, a.status, c.status)
		}
		if a.status != 204 {
			r.api.checkBody(t, r.api.Components.Responses["Problem"], request{method: "POST", path: "/"}, a)
			if !a.Retry {
				t.Errorf("%v: the sender isn't asked to repeat it", c.err)
			}
		}
	}
	h := r.receiver(func(context.Context, webhook.Message, []byte) error { t.Error("f was called"); return nil }, verifier)
	for name, c := range map[string]struct {
		q      request
		status int
		code   string
	}{
		"no signature":   {request{method: "POST", body: `{"by":"` + secret + `"}`}, 401, "signature"},
		"over the limit": {request{method: "POST", body: strings.Repeat(" ", 1001)}, 413, "body-too-large"},
		"GET":            {request{method: "GET"}, 405, "method"},
		"HEAD":           {request{method: "HEAD"}, 405, "method"},
		"PUT":            {request{method: "PUT"}, 405, "method"},
	} {
		c.q.path = "/"
		a := r.serve(h, c.q)
		a.want(t, name, c.status, c.code)
		r.api.checkBody(t, r.api.Components.Responses["Problem"], c.q, a)
		if c.status == 405 && a.header.Get("Allow") != "POST" || c.status == 401 && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: the headers are %v", name, a.header)
		}
	}
}

// A message that is delivered again is the same answer. A message with the same
// ID and another body is another answer. Each of them gets 204.
func TestReceiveIdempotency(t *testing.T) {
	r := newRig(t)
	h := r.receiver(first(r), must(t)(webhook.Standard(standardSecret)))
	start[Decision](r, async.StartOptions{Key: "order-1"})
	for range 3 {
		if a := r.message(h, "msg_1", `{"order":"order-1","decision":{"approved":true}}`); a.status != 204 {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	if a := r.message(h, "msg_1", `{"order":"order-1","decision":{"approved":false}}`); a.status != 204 {
		t.Errorf("the same ID with another body: status %d", a.status)
	}
	if !strings.Contains(r.log.String(), "code=settled status=204") {
		t.Errorf("the same ID with another body is taken for a repeat:\n%s", r.log)
	}
	if a := r.message(h, "msg_2", `not for us`); a.status != 204 {
		t.Errorf("a message that is ignored: status %d", a.status)
	}
	if sent := r.temporal.Completed(); len(sent) != 1 || !strings.Contains(string(sent[0].Outcome.Result.Payloads[0].Data), "true") {
		t.Errorf("delivered: %v", sent)
	}
	// An answer that arrives before its activity waits for the activity.
	if a := r.message(h, "msg_3", `{"order":"order-2","decision":{"approved":true}}`); a.status != 204 {
		t.Errorf("an early message: status %d: %s", a.status, a.body)
	}
}

func TestReceiveRefuses(t *testing.T) {
	f := func(context.Context, webhook.Message, []byte) error { return nil }
	v := must(t)(webhook.GitHub(githubSecret))
	for _, c := range []struct {
		f func(context.Context, webhook.Message, []byte) error
		o webhook.ReceiverOptions
	}{
		{nil, webhook.ReceiverOptions{Verifier: v}},
		{f, webhook.ReceiverOptions{}},
		{f, webhook.ReceiverOptions{Verifier: (*nilVerifier)(nil)}},
		{f, webhook.ReceiverOptions{Verifier: v, MaxBody: -1}},
		{f, webhook.ReceiverOptions{Verifier: v, Wait: -1}},
	} {
		if h, err := webhook.Receive(c.f, c.o); err == nil || h != nil {
			t.Errorf("%+v is accepted", c.o)
		}
	}
}

type nilVerifier struct{}

func (*nilVerifier) Verify(http.Header, []byte, time.Time) (webhook.Message, error) {
	return webhook.Message{}, nil
}

// If a sender disconnects, its message is still processed.
func TestReceiveGoesOn(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	h := r.receiver(func(ctx context.Context, _ webhook.Message, _ []byte) error {
		cancel()
		if _, limited := ctx.Deadline(); !limited {
			t.Error("the context has no deadline")
		}
		return ctx.Err()
	}, verifierFunc(func() (webhook.Message, error) { return webhook.Message{}, nil }))
	req, err := http.NewRequestWithContext(ctx, "POST", "/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	w := new(recorder)
	h.ServeHTTP(w, req)
	if w.status != 204 {
		t.Errorf("status %d", w.status)
	}
}

type verifierFunc func() (webhook.Message, error)

func (f verifierFunc) Verify(http.Header, []byte, time.Time) (webhook.Message, error) { return f() }

type recorder struct {
	header http.Header
	status int
}

func (w *recorder) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}
func (w *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (w *recorder) WriteHeader(status int)      { w.status = status }

// A body that does not arrive in time gets 408, or 503 from Receive, and the
// connection is closed. A handler that takes longer than the body's time limit
// is not disturbed.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		id := start[Decision](r, async.StartOptions{})
		slow := r.receiver(func(ctx context.Context, _ webhook.Message, _ []byte) error {
			time.Sleep(11 * time.Second) // longer than a body may take
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("the context has %v, want it to have ended by its deadline", ctx.Err())
			}
			return nil
		}, verifierFunc(func() (webhook.Message, error) { return webhook.Message{ID: "m"}, nil }))
		mux := http.NewServeMux()
		mux.Handle("/answers/", http.StripPrefix("/answers", r.handler))
		mux.Handle("/messages", slow)
		for path, want := range map[string]int{"/answers/" + id + "/complete": 408, "/messages": 503} {
			began := time.Now()
			a := exchange(t, mux, "POST "+path+" HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"appro")
			if a.status != want || a.header.Get("Connection") != "close" || time.Since(began) != 10*time.Second {
				t.Errorf("%s: status %d after %v, with %v", path, a.status, time.Since(began), a.header)
			}
			r.api.check(t, request{method: "POST", path: strings.TrimPrefix(path, "/answers")}, a)
		}
		r.wantWaiting(id)
		if a := exchange(t, mux, "POST /messages HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\n{}"); a.status != 204 {
			t.Errorf("a function that takes 11 s: status %d", a.status)
		}
	})
}

// exchange sends bytes to a server over a pipe and returns the response.
func exchange(t *testing.T, h http.Handler, text string) response {
	t.Helper()
	client, server := net.Pipe()
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- server
	s := &http.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	defer serving.Wait()
	defer s.Close()
	defer client.Close()
	serving.Go(func() { _, _ = io.WriteString(client, text) })
	got, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := response{status: got.StatusCode, header: got.Header}
	if a.header == nil || got.Close {
		a.header.Set("Connection", "close") // ReadResponse removes this header
	}
	if a.body, err = io.ReadAll(got.Body); err != nil {
		t.Fatal(err)
	}
	return a
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
