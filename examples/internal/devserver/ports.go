package devserver

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports are below the range that systems use for outgoing connections.
// Otherwise a client that dials a restarting server could get that server's
// port for itself, and connect to itself.
const (
	lowestPort  = 10_000
	highestPort = 32_000
)

// freeAddresses finds addresses without a listener. Another process may take an
// address before it is used; the start is then retried.
func freeAddresses(n int) ([]string, error) {
	const tries = 1_000
	var (
		addresses []string
		listeners []net.Listener
	)
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // no client has connected, so nothing is lost
		}
	}()
	for range tries {
		if len(addresses) == n {
			return addresses, nil
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.IntN(highestPort-lowestPort)))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		listeners = append(listeners, l) // kept open, so that no address is found twice
		addresses = append(addresses, address)
	}
	return nil, errors.New("no free port")
}
