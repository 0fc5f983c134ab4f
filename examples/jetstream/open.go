package jetstream

import (
	"context"
	"fmt"
	"net/url"
	"regexp"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/latchkey-go/latchkey/store"
)

// Options configures a [Store].
type Options struct {
	// URL is the URL of the NATS servers. Required.
	URL string

	// Stream is the name of the stream: letters, digits, "-" and "_". Open
	// creates it. Defaults to "latchkey".
	Stream string

	// Replicas is the number of servers that keep the stream, from 1 to 5.
	// Defaults to 1.
	Replicas int

	// NATS contains options of the connection, such as credentials. Defaults to
	// none.
	NATS []nats.Option
}

var streamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Open returns a store. Close of the store closes its connection.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := open(ctx, o)
	return s, store.Wrap("open", backend, "", err)
}

func open(ctx context.Context, o Options) (*Store, error) {
	if o.Stream == "" {
		o.Stream = "latchkey"
	}
	if !streamName.MatchString(o.Stream) {
		return nil, fmt.Errorf("%w: Options.Stream must be 1 to 64 letters, digits, '-' and '_'", store.ErrInvalid)
	}
	if o.Replicas < 0 || o.Replicas > 5 {
		return nil, fmt.Errorf("%w: Options.Replicas must be 1 to 5, got %d", store.ErrInvalid, o.Replicas)
	}
	conn, err := dial(o.URL, o.NATS...)
	if err != nil {
		return nil, err
	}
	s := &Store{conn: conn, prefix: "latchkey." + o.Stream + ".", turn: make(chan struct{}, 1)}
	if s.js, err = jetstream.New(conn.Conn); err == nil {
		// If the stream already has this configuration, the call changes
		// nothing, so several processes may open it at once.
		s.stream, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: o.Stream, Subjects: []string{s.prefix + ">"}, MaxMsgsPerSubject: 1,
			Storage: jetstream.FileStorage, Replicas: max(1, o.Replicas),
		})
	}
	if err != nil {
		conn.close()
		return nil, err
	}
	return s, nil
}

func init() { store.Register("nats", openURL) }

// openURL opens nats://host:4222?stream=latchkey.
func openURL(ctx context.Context, u *url.URL) (store.Store, error) {
	server := *u
	server.RawQuery = ""
	for name := range u.Query() {
		if name != "stream" {
			return nil, store.Wrap("open", backend, "", fmt.Errorf("%w: a URL takes the parameter stream, and no other", store.ErrInvalid))
		}
	}
	s, err := Open(ctx, Options{URL: server.String(), Stream: u.Query().Get("stream")})
	if err != nil {
		return nil, err
	}
	return s, nil
}
