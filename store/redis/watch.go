package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// subscribing is the time for which Watch waits for the server's confirmation.
const subscribing = 5 * time.Second

func (s *Store) channelName() string { return s.prefix + "wake" }

// channel returns the channel on which to signal a write that makes an entry
// due at that time. channel returns the empty string if the write needs no
// signal.
func (s *Store) channel(due time.Time) string {
	if s.signals.Signals(due, time.Now()) {
		return s.channelName()
	}
	return ""
}

// watcher is one call of Watch.
type watcher struct {
	sub     *redis.PubSub
	signals chan struct{}
}

// Watch implements [store.Notifier]. Watch subscribes to the channel prefix +
// "wake" on a connection of its own. The user needs the rights to subscribe and
// to publish on this channel. If the connection fails, go-redis connects again,
// and Watch sends a signal because earlier ones may have been lost.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	c, err := s.watch(ctx)
	return c, wrap(ctx, "watch", "", err)
}

func (s *Store) watch(ctx context.Context) (<-chan struct{}, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	w := &watcher{sub: s.client.Subscribe(ctx, s.channelName()), signals: make(chan struct{}, 1)}
	if _, err := w.sub.ReceiveTimeout(ctx, subscribing); err != nil {
		w.sub.Close()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		w.sub.Close()
		return nil, store.ErrClosed
	}
	if s.watchers == nil {
		s.watchers = make(map[*watcher]func())
	}
	end := sync.OnceFunc(func() { w.sub.Close() }) // ends the goroutine below, because it closes messages
	forget := context.AfterFunc(ctx, end)
	s.watchers[w] = end
	messages := w.sub.ChannelWithSubscriptions()
	s.calls.Go(func() {
		defer close(w.signals)
		for range messages {
			select {
			case w.signals <- struct{}{}:
			default:
			}
		}
		forget()
		s.mu.Lock()
		delete(s.watchers, w)
		s.mu.Unlock()
	})
	return w.signals, nil
}
