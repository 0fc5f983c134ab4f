package redis_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

var errCut = errors.New("the test has cut the line")

// cut is a dialer whose connections can be cut: permanently, in the middle of a
// call, or instead of the reply to a write.
type cut struct {
	mu    sync.Mutex
	conns []net.Conn
	done  bool
	flaps bool   // the next request is sent, and then all connections end
	lost  func() // if set, the next reply to a script is lost and this function is called
}

func (c *cut) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
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

// cut ends all connections and prevents new ones.
func (c *cut) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	c.closeAll()
}

// The caller of closeAll holds mu.
func (c *cut) closeAll() {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// flap ends all connections after the next request was sent. New connections
// can be made.
func (c *cut) flap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flaps = true
}

// loseReply loses the reply to the next script and ends its connection. Every
// write is a script. The server has run the script when meanwhile is called.
func (c *cut) loseReply(meanwhile func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = meanwhile
}

type cutLine struct {
	net.Conn
	of     *cut
	script bool // the last request was a script; go-redis writes and reads in turn
}

func (l *cutLine) Write(b []byte) (int, error) {
	l.script = bytes.Contains(bytes.ToLower(b[:min(len(b), 64)]), []byte("evalsha"))
	n, err := l.Conn.Write(b)
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.of.flaps {
		l.of.flaps = false
		l.of.closeAll()
	}
	return n, err
}

func (l *cutLine) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n == 0 || !l.script {
		return n, err
	}
	l.of.mu.Lock()
	lost := l.of.lost
	l.of.lost = nil
	l.of.mu.Unlock()
	if lost == nil {
		return n, err
	}
	lost()
	l.Conn.Close()
	return 0, errCut
}

// warm makes a call of each kind, without a lasting effect. After warm, the
// server knows the scripts, so the next reply to a script is the reply to a
// write.
func warm(t *testing.T, s store.Store) {
	t.Helper()
	e := mustPut(t, s, mustPut(t, s, store.Entry{ID: "warm", Due: at(-3)}))
	claimed, err := s.Claim(t.Context(), at(-2), at(-1), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: got %d entries and %v, want one", len(claimed), err)
	}
	if err := s.Delete(t.Context(), e.ID, claimed[0].Version); err != nil {
		t.Fatal(err)
	}
}
