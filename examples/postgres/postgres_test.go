package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/examples/postgres"
	"github.com/latchkey-go/latchkey/internal/postgrestest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/storetest"
)

var server postgrestest.Shared

// handle is a store, and what the harness needs to know of it.
type handle struct {
	store.Store
	url string
	cut *cut
}

func open(t testing.TB, url string) handle {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	c := new(cut)
	config.ConnConfig.DialFunc = c.dial
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // where the test hasn't
	return handle{s, url, c}
}

// schema makes a schema of its own, and returns the URL of a store in it.
func schema(t testing.TB, s *postgrestest.Server) string {
	t.Helper()
	name := "s" + strings.ToLower(rand.Text())
	exec(t, s.URL(""), "CREATE SCHEMA "+name)
	return s.URL("search_path=" + name)
}

// harness lets the suite at stores of one server, each in a schema of its own.
func harness(tb testing.TB) storetest.Harness {
	server.Server(tb) // or the test is skipped
	return storetest.Harness{
		Features: storetest.Features{Durable: true, Shared: true, Ordered: true},
		Open:     func(t *testing.T) store.Store { return open(t, schema(t, server.Server(t))) },
		Reopen:   func(t *testing.T, s store.Store) store.Store { return open(t, s.(handle).url) },
		Peer:     func(t *testing.T, s store.Store) store.Store { return open(t, s.(handle).url) },
		Break:    func(t *testing.T, s store.Store) { s.(handle).cut.now() },
		Lose: func(t *testing.T, s store.Store, meanwhile func()) {
			warm(t, s) // each statement is prepared, so that its reply is the next
			s.(handle).cut.loseReply(meanwhile)
		},
		Corrupt: func(t *testing.T, s store.Store, id string) {
			exec(t, s.(handle).url, `UPDATE latchkey_entries SET body = body || '\x00' WHERE id = $1`, id)
		},
	}
}

func TestConformance(t *testing.T) { storetest.Run(t, harness(t)) }

func FuzzStore(f *testing.F) { storetest.Fuzz(f, harness(f)) }

// exec changes what a store keeps, behind its back.
func exec(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// cut is a dialer whose connections can be cut, all at once and for good, and
// can lose a reply.
type cut struct {
	mu    sync.Mutex
	done  bool
	conns []net.Conn
	lost  func() // where it isn't nil, the next reply gets lost and this is called
}

func (c *cut) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return nil, errors.New("the line is cut")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		c.conns = append(c.conns, conn)
		conn = lossy{conn, c}
	}
	return conn, err
}

func (c *cut) now() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// loseReply has the next answer of the server not arrive, and its connection
// end. The server has done by then what it was asked for; meanwhile is called
// before the one who asked learns of the end.
func (c *cut) loseReply(meanwhile func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = meanwhile
}

type lossy struct {
	net.Conn
	cut *cut
}

func (l lossy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	l.cut.mu.Lock()
	lost := l.cut.lost
	l.cut.lost = nil
	l.cut.mu.Unlock()
	if lost == nil {
		return n, err
	}
	lost()
	_ = l.Conn.Close()
	return 0, errors.New("the reply is lost")
}
