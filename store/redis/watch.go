package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// subscribing is how long Watch waits for the server to confirm.
const subscribing = 5 * time.Second

func (s *Store) channelName() string { return s.prefix + "wake" }

// channel returns the channel on which to signal a write that makes an entry due
// at due, or the empty string where it needs no signal.
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

// Watch implements [store.Notifier] with the channel prefix wake of Redis's
// publish and subscribe, and a connection of its own. The user needs the rights
// to subscribe and to publish there. go-redis connects again when the connection
// fails; a signal then says that others may have been lost meanwhile.
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
	end := sync.OnceFunc(func() { w.sub.Close() }) // which closes the channel that pass reads
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
