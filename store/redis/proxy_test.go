package redis_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a client and a server. Once armed, it drops the next reply
// and closes the connection: the server has executed the command, and the client
// gets an error.
type proxy struct {
	addr   string
	target string

	mu    sync.Mutex
	pass  int    // how many replies come through before
	armed func() // called when a reply is thrown away, before the line is cut
	drops int
}

func startProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), target: target}
	var wg sync.WaitGroup
	var conns []net.Conn
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				break
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			conns = append(conns, client, server)
			wg.Go(func() {
				io.Copy(server, client)
				server.Close()
			})
			wg.Go(func() {
				p.replies(client, server)
				client.Close()
				server.Close()
			})
		}
		for _, c := range conns {
			c.Close()
		}
	})
	tb.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return p
}

func (p *proxy) replies(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 && p.drop() {
			return
		}
		if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) drop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed == nil {
		return false
	}
	if p.pass--; p.pass >= 0 {
		return false
	}
	p.armed()
	p.armed = nil
	p.drops++
	return true
}

// arm has one reply thrown away, after some that come through, and calls
// meanwhile before the client can learn of it.
func (p *proxy) arm(pass int, meanwhile func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass, p.armed = pass, meanwhile
}

// dropped returns how many replies were thrown away since the last call.
func (p *proxy) dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.drops = 0 }()
	return p.drops
}
