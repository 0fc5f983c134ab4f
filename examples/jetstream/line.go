package jetstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// reconnectWait is how long a call waits for a broken connection, so that a
// short interruption fails no call.
const reconnectWait = 2 * time.Second

// answerWait is how long a write waits for its answer, even if its context
// ends.
const answerWait = 5 * time.Second

var errDown = errors.New("the connection to NATS is down")

// line is a connection to NATS. When a connection breaks, its calls end at
// once. The client alone would wait until the context ends, for replies that
// never come.
type line struct {
	*nats.Conn
	maxMessage int

	mu   sync.Mutex
	up   chan struct{} // closed while the connection is up
	down chan struct{} // closed while it is down
}

// dial connects. The client must not buffer while it is disconnected. Otherwise
// it would send a write after its caller got an error.
func dial(url string, options ...nats.Option) (*line, error) {
	l := &line{up: make(chan struct{}), down: make(chan struct{})}
	options = append(options,
		nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the client's own handler prints to standard error
		nats.DisconnectErrHandler(func(*nats.Conn, error) { l.set(false) }),
		nats.ReconnectHandler(func(*nats.Conn) { l.set(true) }),
	)
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return nil, err
	}
	l.Conn, l.maxMessage = conn, int(conn.MaxPayload())
	l.set(true)
	return l, nil
}

// set records that the connection is up or down.
func (l *line) set(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, other := &l.up, &l.down
	if !up {
		now, other = other, now
	}
	select {
	case <-*now:
	default:
		close(*now)
		*other = make(chan struct{})
	}
}

func (l *line) state() (up, down <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, l.down
}

// during calls f while the connection is up. The context of f ends when the
// connection goes down.
func (l *line) during(ctx context.Context, f func(ctx context.Context) error) error {
	up, down := l.state()
	select {
	case <-up:
	default:
		timer := time.NewTimer(reconnectWait)
		defer timer.Stop()
		select {
		case <-up:
		case <-timer.C:
			return errDown
		case <-ctx.Done():
			return ctx.Err()
		}
		_, down = l.state()
	}
	return l.whileUp(ctx, down, f)
}

// write calls f with a context that does not end with ctx.
func (l *line) write(ctx context.Context, f func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, down := l.state()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWait)
	defer cancel()
	return l.whileUp(ctx, down, f)
}

// whileUp calls f with a context that ends with ctx, and when the connection goes
// down.
func (l *line) whileUp(ctx context.Context, down <-chan struct{}, f func(ctx context.Context) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-down:
			cancel()
		case <-done:
		}
	})
	err := f(inner)
	close(done)
	watching.Wait()
	if err != nil && inner.Err() != nil && ctx.Err() == nil {
		return errDown
	}
	return err
}

func (l *line) close() { l.Conn.Close() }
