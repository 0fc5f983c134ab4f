package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// firstPause and lastPause limit the pauses between attempts to listen
	// again.
	firstPause = 100 * time.Millisecond
	lastPause  = 15 * time.Second

	// quiet is how long the listening connection may be silent before it is
	// tested. A connection that broke without notice would be silent forever.
	quiet = time.Minute

	// answering is how long the server may take to connect, or to answer a test.
	answering = 15 * time.Second
)

// errPooler means that Watch cannot work behind a pooler.
var errPooler = fmt.Errorf("%w: a pooler between the store and the server would give the session of LISTEN to other clients", errors.ErrUnsupported)

// Watch implements [store.Notifier] with LISTEN, on a connection that does not
// belong to the pool. If the connection fails, Watch connects again with
// backoff, and sends a signal because earlier ones may have been lost. Behind
// PgBouncer and other poolers, Watch returns errors.ErrUnsupported, and hubs
// poll.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	return call(ctx, &s.calls, "watch", "", nil, func() (<-chan struct{}, error) {
		if s.pooled {
			return nil, errPooler
		}
		conn, err := s.listen(ctx)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		forget := context.AfterFunc(s.calls.ended, cancel)
		signals := make(chan struct{}, 1)
		s.calls.count.Go(func() { // Close waits
			defer close(signals)
			defer cancel()
			defer forget()
			s.pass(ctx, conn, signals)
		})
		return signals, nil
	})
}

// listen returns a connection that listens.
func (s *Store) listen(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	pool := s.pool.Config() // a copy of the options
	config := pool.ConnConfig
	config.OnNotification = nil // the application's own handler does not get these notifications
	if pool.BeforeConnect != nil {
		if err := pool.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err = conn.Exec(ctx, "LISTEN "+s.sql.channel); err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// pass sends a signal for each notification until ctx ends.
func (s *Store) pass(ctx context.Context, conn *pgx.Conn, signals chan<- struct{}) {
	for {
		for hear(ctx, conn) == nil {
			signal(signals)
		}
		hangUp(conn)
		if conn = s.listenAgain(ctx); conn == nil {
			return
		}
		signal(signals)
	}
}

// hear waits for a notification. hear returns nil when there is a notification,
// and an error when the connection has failed or ctx has ended.
func hear(ctx context.Context, conn *pgx.Conn) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, quiet)
		_, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		testing, cancel := context.WithTimeout(ctx, answering)
		err = conn.Ping(testing)
		cancel()
		if err != nil {
			return err
		}
	}
}

// listenAgain returns a listening connection, or nil when ctx has ended.
func (s *Store) listenAgain(ctx context.Context) *pgx.Conn {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if conn, err := s.listen(ctx); err == nil {
			return conn
		}
	}
}

// signal sends a signal without blocking. While an earlier signal waits to be
// received, no second one is needed.
func signal(signals chan<- struct{}) {
	select {
	case signals <- struct{}{}:
	default:
	}
}
