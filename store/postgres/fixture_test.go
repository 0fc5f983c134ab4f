package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/internal/postgrestest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/postgres"
)

var server postgrestest.Shared

// place is where a store keeps its tables, with the URL of its server.
type place struct {
	url    string // the URL that the store connects to: the server, or PgBouncer
	direct string // the server
	schema string
}

// admin is a superuser's pool on the shared server, for tests that need no
// store.
var admin struct {
	once sync.Once
	pool *pgxpool.Pool
	err  error
}

func adminPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	url := server.Server(t).URL("")
	admin.once.Do(func() { admin.pool, admin.err = pgxpool.New(context.Background(), url) })
	if admin.err != nil {
		t.Fatal(admin.err)
	}
	return admin.pool
}

// newPlace creates a schema with the tables on the shared server.
func newPlace(t testing.TB) place {
	t.Helper()
	return placeAt(t, adminPool(t), server.Server(t).URL(""))
}

func placeAt(t testing.TB, pool *pgxpool.Pool, url string) place {
	t.Helper()
	p := place{url: url, direct: url, schema: newSchema()}
	if err := postgres.Migrate(t.Context(), postgres.Options{Pool: pool, Schema: p.schema}); err != nil {
		t.Fatal(err)
	}
	return p
}

func newSchema() string { return "s" + strings.ToLower(rand.Text()) }

// with returns the URL for store.Open, with these parameters.
func (p place) with(parameters string) string { return p.url + "?schema=" + p.schema + parameters }

// entries returns the name of the table of entries.
func (p place) entries() string { return p.schema + ".latchkey_entries" }

// handle is a store, its place and the connections of its pool.
type handle struct {
	*postgres.Store
	place place
	lines *lines
	pool  *pgxpool.Pool
}

// open opens a store on a pool of its own, whose connections can be cut.
func open(t testing.TB, p place, change ...func(*pgxpool.Config)) handle {
	t.Helper()
	config, err := pgxpool.ParseConfig(p.url)
	if err != nil {
		t.Fatal(err)
	}
	l := new(lines)
	config.ConnConfig.DialFunc = l.dial
	for _, c := range change {
		c(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), postgres.Options{Pool: pool, Schema: p.schema})
	if err != nil {
		pool.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close() // closes the store if the test has not
		pool.Close()
	})
	return handle{s, p, l, pool}
}

// lines is a dialer whose connections can be cut, permanently or in the middle
// of a call, and that can lose a reply.
type lines struct {
	mu    sync.Mutex
	away  bool
	conns []net.Conn
	flaps bool   // the next request is sent, and then all connections end
	lost  func() // if set, the next reply is lost and this function is called
	sent  func() // if set, called after the next request was sent

	halted   func()        // if set, the next write calls this function and waits for a deadline
	deadline chan struct{} // closed when the connection of that write has a deadline
}

func (l *lines) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, errors.New("the line is cut")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.conns = append(l.conns, conn)
	return lossy{conn, l}, nil
}

// cut ends all connections. New connections fail until restore is called.
func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = true
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

// flap ends all connections after the next request was sent. New connections
// can be made.
func (l *lines) flap() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flaps = true
}

func (l *lines) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = false
}

// loseReply loses the next answer of the server, and ends its connection. When
// the reply is lost, the server has executed the request. meanwhile is called
// before the caller learns of the end.
func (l *lines) loseReply(meanwhile func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = meanwhile
}

// afterNext calls sent when the next request was sent.
func (l *lines) afterNext(sent func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = sent
}

// halt calls end in the next write. The write then waits until its connection
// has a deadline, and continues.
func (l *lines) halt(end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.halted, l.deadline = end, make(chan struct{})
}

type lossy struct {
	net.Conn
	lines *lines
}

func (l lossy) SetDeadline(t time.Time) error {
	err := l.Conn.SetDeadline(t)
	l.lines.mu.Lock()
	defer l.lines.mu.Unlock()
	if l.lines.deadline != nil && !t.IsZero() {
		close(l.lines.deadline)
		l.lines.deadline = nil
	}
	return err
}

func (l lossy) Write(b []byte) (int, error) {
	l.lines.mu.Lock()
	halted, deadline := l.lines.halted, l.lines.deadline
	l.lines.halted = nil
	l.lines.mu.Unlock()
	if halted != nil {
		halted()
		<-deadline
	}
	n, err := l.Conn.Write(b)
	l.lines.mu.Lock()
	defer l.lines.mu.Unlock()
	if l.lines.sent != nil {
		l.lines.sent()
		l.lines.sent = nil
	}
	if l.lines.flaps {
		l.lines.flaps = false
		for _, conn := range l.lines.conns {
			_ = conn.Close()
		}
		l.lines.conns = nil
	}
	return n, err
}

func (l lossy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	l.lines.mu.Lock()
	lost := l.lines.lost
	l.lines.lost = nil
	l.lines.mu.Unlock()
	if lost == nil {
		return n, err
	}
	lost()
	_ = l.Conn.Close()
	return 0, errors.New("the reply is lost")
}

// warm makes a call of each kind, without a lasting effect. After warm, the
// connection knows the statements, so the next reply is the reply to a write.
func warm(t testing.TB, s store.Store) {
	t.Helper()
	e := put(t, s, put(t, s, store.Entry{ID: "warm"}))
	if _, err := s.Claim(t.Context(), at(-2), at(-1), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), e.ID, e.Version); err != nil {
		t.Fatal(err)
	}
}

// at returns the time ms milliseconds after a fixed time in the future.
func at(ms int64) time.Time { return time.UnixMilli(1_900_000_000_000 + ms).UTC() }

func put(t testing.TB, s store.Store, e store.Entry) store.Entry {
	t.Helper()
	var err error
	if e.Version, err = s.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func list(t testing.TB, s store.Store) (all []store.Entry) {
	t.Helper()
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// connect returns a superuser's connection to the server itself.
func connect(t testing.TB, p place) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.direct)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// exec runs a statement on the shared server, without a store.
func exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := adminPool(t).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
