package redis_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy forwards data between a client and a server. Once armed, the proxy
// drops the next reply and closes the connection. The server has executed the
// command, and the client gets an error.
type proxy struct {
	addr   string
	target string

	mu    sync.Mutex
	pass  int    // how many replies are forwarded before the dropped one
	armed func() // called after a reply was dropped, before the connection is closed
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

// arm makes the proxy forward pass replies and drop the next one. The proxy
// calls meanwhile before the client can learn of the loss.
func (p *proxy) arm(pass int, meanwhile func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass, p.armed = pass, meanwhile
}

// dropped returns how many replies were dropped since the last call.
func (p *proxy) dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.drops = 0 }()
	return p.drops
}
