package jetstream_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjetstream "github.com/nats-io/nats.go/jetstream"

	"github.com/latchkey-go/latchkey/examples/jetstream"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// natsServer is a NATS server in the test's process.
type natsServer struct {
	dir  string
	port int
	*server.Server
}

func startServer(tb testing.TB) *natsServer {
	tb.Helper()
	s := &natsServer{dir: tb.TempDir(), port: -1}
	s.start(tb)
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func (s *natsServer) start(tb testing.TB) {
	tb.Helper()
	var err error
	s.Server, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: s.port, JetStream: true, StoreDir: s.dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(5 * time.Minute) {
		tb.Fatal("the NATS server is not ready after 5 minutes")
	}
	s.port = s.Addr().(*net.TCPAddr).Port
}

// restart ends the server, and starts it again with its data and its port.
func (s *natsServer) restart(tb testing.TB) {
	tb.Helper()
	s.Shutdown()
	s.WaitForShutdown()
	s.start(tb)
}

// handle is a store and its connections.
type handle struct {
	*jetstream.Store
	cut    *cut
	stream string
}

func open(tb testing.TB, s *natsServer, stream string) handle {
	tb.Helper()
	c := new(cut)
	js, err := jetstream.Open(tb.Context(), jetstream.Options{URL: s.ClientURL(), Stream: stream, NATS: []nats.Option{nats.SetCustomDialer(c)}})
	if err != nil {
		tb.Fatal(err)
	}
	return handle{js, c, stream}
}

func harness(s *natsServer) storetest.Harness {
	return storetest.Harness{
		Features: storetest.Features{Durable: true, Shared: true, Ordered: true, MaxBody: 1<<20 - 1<<10},
		Open:     func(t *testing.T) store.Store { return open(t, s, rand.Text()) },
		Reopen: func(t *testing.T, old store.Store) store.Store {
			s.restart(t)
			return open(t, s, old.(handle).stream)
		},
		Peer:  func(t *testing.T, of store.Store) store.Store { return open(t, s, of.(handle).stream) },
		Break: func(_ *testing.T, of store.Store) { of.(handle).cut.forGood() },
		Flap:  func(_ *testing.T, of store.Store) { of.(handle).cut.flap() },
		Lose:  func(_ *testing.T, of store.Store, meanwhile func()) { of.(handle).cut.loseReply(meanwhile) },
		Corrupt: func(t *testing.T, of store.Store, id string) {
			corrupt(t, s, of.(handle).stream, id)
		},
	}
}

// corrupt publishes a message with the checksum of another body.
func corrupt(t *testing.T, s *natsServer, stream, id string) {
	t.Helper()
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := nats.NewMsg("latchkey." + stream + "." + id)
	m.Header.Set("Latchkey-Due", "1")
	m.Header.Set("Latchkey-Sum", "0")
	if _, err := conn.RequestMsgWithContext(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedEntryIsPurged removes a damaged entry as the package's
// documentation says. Afterwards, the ID is free in each process.
func TestDamagedEntryIsPurged(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s := open(t, server, rand.Text())
	defer s.Close()
	e := store.Entry{ID: "an.entry", Due: time.UnixMilli(1)}
	if _, err := s.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	corrupt(t, server, s.stream, "an=entry")
	if _, err := s.Get(t.Context(), e.ID); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("Get of the damaged entry: got %v, want ErrCorrupt", err)
	}
	conn, err := nats.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := natsjetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), s.stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), natsjetstream.WithPurgeSubject("latchkey."+s.stream+".an=entry")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), e.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after the purge: got %v, want ErrNotFound", err)
	}
	if got, err := s.Claim(t.Context(), time.UnixMilli(5), time.UnixMilli(9), 5); err != nil || len(got) != 0 {
		t.Errorf("Claim after the purge: got %v and %v, want nothing", got, err)
	}
	if _, err := s.Put(t.Context(), e); err != nil {
		t.Errorf("insert after the purge: got %v, want nil", err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, harness(startServer(t)))
}

func TestConformanceSealed(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Sealed(harness(startServer(t))))
}

func FuzzStore(f *testing.F) { storetest.Fuzz(f, harness(startServer(f))) }

var errCut = errors.New("the test has cut the line")

// cut is a dialer whose connections can be cut: permanently, in the middle of a
// call, or instead of the reply to a write.
type cut struct {
	mu    sync.Mutex
	conns []net.Conn
	done  bool
	flaps bool   // the next request is sent, and then the connection ends
	lost  func() // if set, the reply to the next write is lost and this function is called
}

// Dial implements nats.CustomDialer.
func (c *cut) Dial(network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		conn.Close()
		return nil, errCut
	}
	c.conns = append(c.conns, conn)
	return &cutLine{Conn: conn, of: c}, nil
}

func (c *cut) forGood() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	for _, conn := range c.conns {
		conn.Close()
	}
}

func (c *cut) flap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flaps = true
}

func (c *cut) loseReply(meanwhile func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = meanwhile
}

// cutLine is one connection. Several goroutines of the client write to a
// cutLine, and one reads from it.
type cutLine struct {
	net.Conn
	of    *cut
	wrote bool // a write was sent and not answered yet; guarded by of.mu
}

func (l *cutLine) Write(b []byte) (int, error) {
	write := bytes.Contains(b, []byte("HPUB latchkey.")) || bytes.Contains(b, []byte("STREAM.MSG.DELETE"))
	request := write || bytes.Contains(b, []byte("PUB $JS.API"))
	l.of.mu.Lock()
	l.wrote = l.wrote || write && l.of.lost != nil
	flap := request && l.of.flaps
	l.of.flaps = l.of.flaps && !flap
	l.of.mu.Unlock()
	n, err := l.Conn.Write(b)
	if flap {
		l.Conn.Close()
	}
	return n, err
}

func (l *cutLine) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.of.mu.Lock()
	lost := l.of.lost
	if !l.wrote || !bytes.Contains(b[:n], []byte(`"seq":`)) && !bytes.Contains(b[:n], []byte("stream_msg_delete_response")) {
		lost = nil
	} else {
		l.wrote, l.of.lost = false, nil
	}
	l.of.mu.Unlock()
	if lost == nil {
		return n, err
	}
	lost()
	l.Conn.Close()
	return 0, errCut
}
