package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/board"
)

type Decision struct {
	Approved bool   `json:"approved"`
	By       string `json:"by,omitempty"`
}

func (Decision) ResultType() string { return "expenses.Decision" }

const (
	token  = "t0ken-of-ada"
	secret = "s3cret-answer"
)

// rig is a board over HTTP, with all output of the board and the command line.
type rig struct {
	t        *testing.T
	temporal *asynctest.Completer
	hub      *async.Hub
	handler  http.Handler
	url      string // of the board
	server   *httptest.Server
	dir      string

	transport http.RoundTripper // of the command line
	interrupt context.Context   // of the command line; nil: the test's context

	mu       sync.Mutex
	refuse   func(a board.Action, c async.Callback) error
	nameless bool
	said     bytes.Buffer
	secret   []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := newRigInMemory(t)
	r.server = httptest.NewServer(r.handler)
	t.Cleanup(r.server.Close)
	r.url, r.transport = r.server.URL+"/ops", nil
	return r
}

// newRigInMemory returns a rig whose connections are pipes, for a synctest
// bubble.
func newRigInMemory(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, temporal: new(asynctest.Completer), dir: t.TempDir(), secret: []string{token, secret}}
	logger := slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.hub = asynctest.NewHub(t, async.Options{Completer: r.temporal, Logger: logger})
	typ, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := board.New(r.hub, board.Options{Types: []answer.Type{typ}, Logger: logger, Authorize: func(_ context.Context, q *http.Request, a board.Action, c async.Callback) (string, error) {
		if q.Header.Get("Authorization") != "Bearer "+token {
			return "", board.ErrSignIn
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse != nil {
			if err := r.refuse(a, c); err != nil {
				return "", err
			}
		}
		if r.nameless {
			return "", nil
		}
		return "ada", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", b))
	r.handler, r.url, r.transport = mux, "http://localhost/ops", inMemory(t, mux)
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, s := range r.secret {
			if strings.Contains(r.said.String(), s) {
				t.Errorf("the board, the command line or the log says %q", s)
			}
		}
	})
	return r
}

// Write stores the output.
func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(p)
}

// entry starts a waiting activity.
func (r *rig) entry(o async.StartOptions) (c async.Callback, id string) {
	r.t.Helper()
	run := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, r.hub, o, func(_ context.Context, p async.Pending[Decision]) error {
			c = p.Callback
			return nil
		})
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: "approve"})
	if _, err := env.ExecuteActivity("approve"); err != activity.ErrResultPending {
		r.t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = append(r.secret, c.ID())
	return c, c.Info().ID
}

// refused returns an entry with an outcome that Temporal refuses.
func (r *rig) refused() string {
	r.t.Helper()
	c, id := r.entry(async.StartOptions{})
	r.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error { return completer.ErrRefused }
	defer func() { r.temporal.CompleteFunc = nil }()
	if err := (async.Pending[Decision]{Callback: c}).Complete(r.t.Context(), Decision{By: secret}); err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) state(id string) async.State {
	r.t.Helper()
	c, err := r.hub.Find(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Info().State
}

// result is the output and exit code of a run of the program.
type result struct {
	code     int
	out, err string
}

// latchkey runs the program with the board's address and the token.
func (r *rig) latchkey(args ...string) result { r.t.Helper(); return r.with(nil, "", args...) }

// with runs the program with additional environment variables and an input.
func (r *rig) with(env map[string]string, in string, args ...string) result {
	r.t.Helper()
	all := map[string]string{"LATCHKEY_URL": r.url, "LATCHKEY_TOKEN": token, "HOME": r.dir}
	maps.Copy(all, env)
	return r.bare(all, in, args...)
}

func (r *rig) bare(env map[string]string, in string, args ...string) result {
	r.t.Helper()
	var out, err bytes.Buffer
	code := run(r.ctx(), args, world{in: strings.NewReader(in), out: io.MultiWriter(&out, r), err: io.MultiWriter(&err, r), env: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}, transport: r.transport})
	return result{code, out.String(), err.String()}
}

// ctx returns the context of the program.
func (r *rig) ctx() context.Context {
	if r.interrupt != nil {
		return r.interrupt
	}
	return r.t.Context()
}

func (x result) want(t *testing.T, what string, code int, texts ...string) {
	t.Helper()
	if x.code != code {
		t.Errorf("%s: exit code %d, want %d\n%s%s", what, x.code, code, x.out, x.err)
	}
	for _, text := range texts {
		if !strings.Contains(x.out+x.err, text) {
			t.Errorf("%s: the output lacks %q:\n%s%s", what, text, x.out, x.err)
		}
	}
}

// file writes a file for the user.
func (r *rig) file(name, text string, mode os.FileMode) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// inMemory returns a transport to a server of the handler. The connections are
// pipes.
func inMemory(t *testing.T, h http.Handler) http.RoundTripper {
	t.Helper()
	l := &pipes{made: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) }) // Close ends Serve
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.made <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = s.Close()
		serving.Wait()
	})
	return transport
}

// pipes is a listener of pipes.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

var errNo = errors.New("not on your shift")
