package redis_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fake is a server whose answers a function determines.
type fake struct {
	addr string

	mu   sync.Mutex
	said []string // each command, in lower case, with its arguments
}

// startFake starts a fake. The fake sends what answer returns for each command,
// in Redis's protocol without the last line end. If answer returns an empty
// text, the fake closes the connection.
func startFake(tb testing.TB, answer func(command []string) string) *fake {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &fake{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
			wg.Go(func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					command, err := readCommand(r)
					if err != nil {
						return
					}
					command[0] = strings.ToLower(command[0])
					f.mu.Lock()
					f.said = append(f.said, strings.Join(command, " "))
					f.mu.Unlock()
					reply := answer(command)
					if reply == "" {
						return
					}
					io.WriteString(conn, reply+"\r\n")
				}
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
	return f
}

func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:size])
	}
	return command, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("a line that begins with %q, not %q", line[0], kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// healthy answers the commands of go-redis and Open as a working server does,
// and answers OK to every script except Open's.
func healthy(command []string) string {
	switch command[0] {
	case "hello":
		return "-ERR unknown command 'HELLO'"
	case "client":
		return "+OK"
	case "info":
		return bulk("maxmemory_policy:noeviction")
	case "evalsha":
		if strings.HasSuffix(command[3], "meta") {
			return bulk(command[4])
		}
		return bulk("OK")
	}
	return "-ERR unknown command"
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s", len(text), text) }

// heard returns the commands that begin with name.
func (f *fake) heard(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var heard []string
	for _, s := range f.said {
		if strings.HasPrefix(s, name+" ") {
			heard = append(heard, s)
		}
	}
	return heard
}
