package completer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// lazy returns a client that never reaches a server.
func lazy(t *testing.T, o client.Options) client.Client {
	t.Helper()
	o.HostPort = "127.0.0.1:1" // no server listens there
	c, err := client.NewLazyClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// coding returns a data converter that differs from the SDK's.
func coding() converter.DataConverter {
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{}))
}

type wrapped struct{ client.Client }

func TestNewSaysWhatIsWrong(t *testing.T) {
	plain := client.Options{}
	other := client.Options{Namespace: "other"}
	coded := client.Options{Namespace: "coded", DataConverter: coding()}
	for says, clients := range map[string][]Client{
		"needs a client":                      nil,
		"Client.Client is required":           {{}},
		`two clients for namespace "default"`: {{Client: lazy(t, plain)}, {Client: lazy(t, plain), Options: client.Options{Namespace: "default"}}},
		"has other converters":                {{Client: lazy(t, other), Options: other}, {Client: lazy(t, coded), Options: coded}},
		"created directly":                    {{Client: wrapped{lazy(t, plain)}}},
	} {
		if _, err := New(clients...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an error that says %q", err, says)
		}
	}
}

// wantEach calls each method with a target in this namespace, and checks its
// error.
func wantEach(t *testing.T, c Completer, namespace string, check func(err error) bool) {
	t.Helper()
	target := Target{Namespace: namespace, WorkflowID: "w", RunID: "r", ActivityID: "a", TaskToken: []byte("token")}
	_, describe := c.Describe(t.Context(), target, "")
	_, beat := c.Heartbeat(t.Context(), target, nil)
	for method, err := range map[string]error{"Describe": describe, "Heartbeat": beat, "Complete": c.Complete(t.Context(), target, Outcome{})} {
		if err == nil || !check(err) {
			t.Errorf("%s for namespace %q: %v", method, namespace, err)
		}
	}
}

func TestNamespaceWithoutClient(t *testing.T) {
	c, err := New(Client{Client: lazy(t, client.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	wantEach(t, c, "foreign", func(err error) bool {
		return errors.Is(err, ErrRefused) && !errors.Is(err, ErrCallRefused) && strings.Contains(err.Error(), `"foreign"`)
	})
}

func TestNewForNamespacesNeedsClients(t *testing.T) {
	if c, err := NewForNamespaces(Options{}); err == nil || c != nil || !strings.Contains(err.Error(), "Options.Clients is required") {
		t.Errorf("got %v, %v", c, err)
	}
}

// A client that Options.Clients should not have returned is refused, and its
// error names the cause.
func TestNewForNamespacesRefuses(t *testing.T) {
	for says, c := range map[string]Client{
		"Client.Client is required":                         {},
		`a client of namespace "default" for namespace "a"`: {Client: lazy(t, client.Options{})},
		"other converters than completer.Options":           {Client: lazy(t, client.Options{}), Options: client.Options{Namespace: "a", DataConverter: coding()}},
		"created directly":                                  {Client: wrapped{lazy(t, client.Options{})}, Options: client.Options{Namespace: "a"}},
	} {
		cc, err := NewForNamespaces(Options{Clients: func(context.Context, string) (Client, error) { return c, nil }})
		if err != nil {
			t.Fatal(err)
		}
		wantEach(t, cc, "a", func(err error) bool { return errors.Is(err, ErrRefused) && strings.Contains(err.Error(), says) })
	}
}

// The error of Options.Clients says whether the namespace is refused. A panic
// becomes an error without the text of the panic.
func TestNewForNamespacesErrors(t *testing.T) {
	away := errors.New("vault is away")
	c, err := NewForNamespaces(Options{Clients: func(_ context.Context, namespace string) (Client, error) {
		switch namespace {
		case "foreign":
			return Client{}, errors.Join(ErrRefused, errors.New("not in the list"))
		case "panic":
			panic("s3cret")
		}
		return Client{}, away
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantEach(t, c, "foreign", func(err error) bool { return errors.Is(err, ErrRefused) })
	wantEach(t, c, "other", func(err error) bool { return errors.Is(err, away) && !errors.Is(err, ErrRefused) })
	wantEach(t, c, "panic", func(err error) bool {
		return strings.Contains(err.Error(), "panicked") && !strings.Contains(err.Error(), "s3cret") && !errors.Is(err, ErrRefused)
	})
}

// Concurrent callers of one namespace share one call of Options.Clients. The
// completer keeps a client and does not keep an error.
func TestNewForNamespacesCallsOnce(t *testing.T) {
	var calls atomic.Int32
	var mu sync.Mutex // while the test holds mu, no call of Clients returns
	ready := lazy(t, client.Options{Namespace: "a"})
	cc, err := NewForNamespaces(Options{Clients: func(_ context.Context, namespace string) (Client, error) {
		if calls.Add(1) == 1 {
			return Client{}, errors.New("away")
		}
		mu.Lock()
		defer mu.Unlock()
		return Client{Client: ready, Options: client.Options{Namespace: namespace}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	clients := &cc.(*clientCompleter).clients
	if n, err := clients.get(t.Context(), "a"); err == nil {
		t.Fatalf("got %v, want the error of the first call", n)
	}
	mu.Lock()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if n, err := clients.get(t.Context(), "a"); err != nil || n.namespace != "a" {
				t.Errorf("got %v, %v", n, err)
			}
		})
	}
	for calls.Load() < 2 { // one caller is in Clients now
		if t.Context().Err() != nil {
			t.Fatal("no caller calls Clients")
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := clients.get(ended, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller whose context has ended got %v, %v", n, err)
	}
	mu.Unlock()
	wg.Wait()
	if n := calls.Load(); n != 2 {
		t.Errorf("Clients was called %d times, want 2", n)
	}
}

// The completer returns the converters of its options to the hub.
func TestNewForNamespacesConverts(t *testing.T) {
	data := coding()
	c, err := NewForNamespaces(Options{DataConverter: data, Clients: func(context.Context, string) (Client, error) { return Client{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	got, failure := c.(Converting).Converters()
	if got != data || failure == nil {
		t.Errorf("converters %v and %v", got, failure)
	}
}
