package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

func uint64Bytes(v uint64) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(v >> (56 - 8*i))
	}
	return b[:]
}

// wantFailures calls every method. wantFailures reports an error unless each
// call fails with an error that cause accepts, and that makes no statement
// about the entry.
func wantFailures(t *testing.T, s store.Store, doing string, cause func(error) bool) {
	t.Helper()
	ctx := t.Context()
	_, get := s.Get(ctx, "a")
	_, put := s.Put(ctx, store.Entry{ID: "a"})
	_, replace := s.Put(ctx, store.Entry{ID: "a", Version: 1})
	_, claim := s.Claim(ctx, at(1), at(2), 1)
	var list error
	for _, list = range s.List(ctx) {
	}
	for op, err := range map[string]error{"get": get, "insert": put, "put": replace, "delete": s.Delete(ctx, "a", 1), "claim": claim, "list": list} {
		if _, ok := errors.AsType[*store.Error](err); !ok || !cause(err) {
			t.Errorf("%s %s: got %v, want an *store.Error with the cause reachable", op, doing, err)
		}
		for _, known := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrCorrupt, store.ErrClosed} {
			if errors.Is(err, known) {
				t.Errorf("%s %s: got %v, want nothing said of the entry", op, doing, err)
			}
		}
	}
}

// TestServerAnswers uses a server that worked when the store was opened, and
// that then answers every command with one error.
func TestServerAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		is   func(error) bool
	}{
		"loading":     {"LOADING Redis is loading the dataset in memory", goredis.IsLoadingError},
		"read-only":   {"READONLY You can't write against a read only replica.", goredis.IsReadOnlyError},
		"no master":   {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", goredis.IsMasterDownError},
		"down":        {"CLUSTERDOWN The cluster is down", goredis.IsClusterDownError},
		"full":        {"OOM command not allowed when used memory > 'maxmemory'.", goredis.IsOOMError},
		"no password": {"NOAUTH Authentication required.", goredis.IsAuthError},
		"forbidden":   {"NOPERM this user has no permissions to run the command", goredis.IsPermissionError},
		"busy":        {"BUSY Redis is busy running a script.", isReply},
		"elsewhere": {"MOVED 13907 127.0.0.1:1", func(err error) bool {
			_, ok := goredis.IsMovedError(err)
			return ok
		}},
	} {
		t.Run(name, func(t *testing.T) {
			opened := make(chan struct{})
			f := startFake(t, func(command []string) string {
				select {
				case <-opened:
					if command[0] == "hello" || command[0] == "client" {
						return healthy(command)
					}
					return "-" + c.says
				default:
					return healthy(command)
				}
			})
			s := openStore(t, newClient(t, &goredis.Options{Addr: f.addr}), redis.Options{})
			close(opened)
			wantFailures(t, s, "on a server that answers "+name, c.is)
		})
	}
}

func isReply(err error) bool {
	_, ok := errors.AsType[goredis.Error](err)
	return ok
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	s := openStore(t, newClient(t, &goredis.Options{Addr: m.Addr()}), redis.Options{})
	e := mustPut(t, s, store.Entry{ID: "a"})
	m.Close()
	refused := func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
	wantFailures(t, s, "with the server away", refused)
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	// go-redis checks once a second whether a server that refused is back.
	eventually(t, "readable, with the server back", func() bool {
		got, err := s.Get(t.Context(), "a")
		return err == nil && got.Version == e.Version
	})
}

// TestServerSilent uses a server that accepts commands and never answers. Only
// the context ends the call. go-redis may report this as a network timeout.
func TestServerSilent(t *testing.T) {
	opened, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	f := startFake(t, func(command []string) string {
		if command[0] == "hello" || command[0] == "client" {
			return healthy(command)
		}
		select {
		case <-opened:
			<-done
			return ""
		default:
			return healthy(command)
		}
	})
	var stores []*redis.Store
	for _, retries := range []int{-1, 3} {
		stores = append(stores, openStore(t, newClient(t, &goredis.Options{Addr: f.addr, MaxRetries: retries}), redis.Options{}))
	}
	close(opened)
	for _, s := range stores {
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := s.Put(ctx, store.Entry{ID: "a"})
			wantErr(t, err, context.DeadlineExceeded, "Put on a silent server")
			_, err = s.Get(ctx, "a")
			wantErr(t, err, context.DeadlineExceeded, "Get behind the deadline")
			cancel()
		}
	}
}

func TestPasswords(t *testing.T) {
	m := miniredis.RunT(t)
	m.RequireUserAuth("user", "right")
	for url, is := range map[string]func(error) bool{
		"redis://" + m.Addr():                                 goredis.IsAuthError,
		"redis://user:wrong@" + m.Addr() + "?max_retries=-1":  goredis.IsAuthError,
		"redis://other:right@" + m.Addr() + "?max_retries=-1": goredis.IsAuthError,
		"redis://user:right@" + m.Addr():                      nil,
	} {
		s, err := store.Open(t.Context(), url)
		switch {
		case is == nil && err != nil:
			t.Errorf("Open with the right password: got %v, want nil", err)
		case is == nil:
			s.Close()
		case !is(err):
			t.Errorf("Open without the right password: got %v, want Redis's answer", err)
		case strings.Contains(err.Error(), "wrong"):
			t.Errorf("Open with a wrong password: got %q, want it left out", err)
		}
	}
}

func TestTLSMismatch(t *testing.T) {
	t.Parallel()
	plain := miniredis.RunT(t)
	_, err := store.Open(t.Context(), "rediss://"+plain.Addr()+"?max_retries=-1")
	// The server closes the connection or answers in plain text.
	if _, ok := errors.AsType[tls.RecordHeaderError](err); !ok && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Open of rediss:// on a server without TLS: got %v, want a tls.RecordHeaderError or the end of the connection", err)
	}

	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	m := miniredis.NewMiniRedis()
	if err := m.StartTLS(&tls.Config{Certificates: web.TLS.Certificates}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	_, err = store.Open(t.Context(), "rediss://"+m.Addr()+"?max_retries=-1")
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("Open of rediss:// on a server with an unknown certificate: got %v, want a tls.CertificateVerificationError", err)
	}
	s, err := store.Open(t.Context(), "rediss://"+m.Addr()+"?skip_verify=true")
	if err != nil {
		t.Fatalf("Open of rediss:// that trusts the server: got %v, want nil", err)
	}
	s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = store.Open(ctx, "redis://"+m.Addr()+"?max_retries=-1&read_timeout=200ms")
	if _, ok := errors.AsType[*store.Error](err); !ok {
		t.Errorf("Open of redis:// on a server with TLS: got %v, want an *store.Error", err)
	}
}

func TestReadOnlyReplica(t *testing.T) {
	p := startPair(t)
	openStore(t, p.primary.client(t), redis.Options{})
	p.replica.await("given the meta key", func(c *goredis.Client) (bool, error) {
		n, err := c.Exists(t.Context(), "latchkey:meta").Result()
		return n == 1, err
	})
	_, err := redis.Open(t.Context(), p.replica.client(t), redis.Options{})
	if _, ok := errors.AsType[*store.Error](err); !ok || !goredis.IsReadOnlyError(err) && !strings.Contains(fmt.Sprint(err), "READONLY") {
		t.Errorf("Open on a replica: got %v, want READONLY", err)
	}
}

func TestOutOfMemory(t *testing.T) {
	client := startServer(t).client(t)
	s := openStore(t, client, redis.Options{Shards: 1})
	ctx := t.Context()
	e := mustPut(t, s, store.Entry{ID: "a", Due: at(1), Body: []byte("before")})
	if err := client.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for doing, do := range map[string]func() error{
		"an insert": func() error {
			_, err := s.Put(ctx, store.Entry{ID: "b", Body: []byte("body")})
			return err
		},
		"a replacement": func() error {
			_, err := s.Put(ctx, store.Entry{ID: "a", Version: e.Version, Body: []byte("after")})
			return err
		},
		"Claim": func() error {
			_, err := s.Claim(ctx, at(1), at(2), 1)
			return err
		},
	} {
		err := do()
		if _, ok := errors.AsType[*store.Error](err); !ok || !goredis.IsOOMError(err) {
			t.Errorf("%s on a full server: got %v, want OOM", doing, err)
		}
	}
	got, err := s.Get(ctx, "a")
	if err != nil || got.Version != e.Version || !got.Due.Equal(at(1)) || string(got.Body) != "before" {
		t.Errorf("Get on a full server: got %+v and %v, want the entry as it was", got, err)
	}
	_, err = s.Get(ctx, "b")
	wantErr(t, err, store.ErrNotFound, "Get of what a full server refused")
	if err := s.Delete(ctx, "a", e.Version); err != nil {
		t.Errorf("Delete on a full server: got %v, want nil", err)
	}
}
