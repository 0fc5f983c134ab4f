package httpserver

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowRequests checks that the server closes a connection that sends
// nothing, a part of a request, or nothing after a request. Without limits, such
// a connection would stay open.
func TestSlowRequests(t *testing.T) {
	for name, c := range map[string]struct {
		sent   string
		within time.Duration
	}{
		"nothing":       {"", 10 * time.Second},
		"half a header": {"POST / HTTP/1.1\r\nHost: x\r\nA: ", 10 * time.Second},
		"half a body":   {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", 20 * time.Second},
		"idle":          {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				l := &one{conns: make(chan net.Conn, 1)}
				l.conns <- there
				s := New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
				go func() { _ = s.Serve(l) }()
				defer func() { _ = s.Close() }()
				began := time.Now()
				if _, err := io.WriteString(here, c.sent); err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, here) // reads until the server closes the connection
				if took := time.Since(began); took > c.within {
					t.Errorf("the connection stayed open for %v, want at most %v", took, c.within)
				}
			})
		})
	}
}

// one is a listener that returns the connections of a test.
type one struct{ conns chan net.Conn }

func (l *one) Accept() (net.Conn, error) {
	c, open := <-l.conns
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l *one) Close() error {
	close(l.conns)
	return nil
}

func (l *one) Addr() net.Addr { return &net.TCPAddr{} }

func TestLargeBody(t *testing.T) {
	var read error
	h := New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, read = io.ReadAll(r.Body) })).Handler
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(strings.Repeat("x", MaxBody+1))))
	if _, over := errors.AsType[*http.MaxBytesError](read); !over {
		t.Errorf("reading a body of MaxBody+1 bytes: %v, want an error", read)
	}
}

// TestNoOtherServer: the examples have no server without these limits.
func TestNoOtherServer(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "httpserver" {
			return err
		}
		files++
		source, err := os.ReadFile(path)
		for _, other := range []string{"http.Server{", "http.ListenAndServe", "http.Serve("} {
			if strings.Contains(string(source), other) {
				t.Errorf("%s has %s, want httpserver.New", path, other)
			}
		}
		return err
	})
	if err != nil || files < 50 {
		t.Errorf("%d files, %v", files, err)
	}
}
