package completer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// Options configures the Completer of [NewForNamespaces].
type Options struct {
	// Clients returns the client for a namespace. The completer calls it when it
	// first needs the namespace, and keeps the client. After an error it calls
	// again when it next needs the namespace. There is one call at a time for
	// each namespace, and any number for different ones. Clients must return
	// when its context ends. An error that wraps [ErrRefused] means that the
	// process does not serve the namespace until an operator acts; any other
	// error is retried as an unreachable server is. Required.
	Clients func(ctx context.Context, namespace string) (Client, error)

	// DataConverter is that of all clients. Defaults to the SDK's.
	DataConverter converter.DataConverter

	// FailureConverter is that of all clients. Defaults to the SDK's.
	FailureConverter converter.FailureConverter
}

// NewForNamespaces returns a Completer for processes that learn their namespaces
// at run time. It works as the one of [New] does, but takes the client of each
// namespace from Options.Clients. It makes no call itself.
func NewForNamespaces(o Options) (Completer, error) {
	if o.Clients == nil {
		return nil, errors.New("completer: Options.Clients is required")
	}
	cc := &clientCompleter{data: o.DataConverter, failure: o.FailureConverter}
	if cc.data == nil {
		cc.data = converter.GetDefaultDataConverter()
	}
	if cc.failure == nil {
		cc.failure = temporal.GetDefaultFailureConverter()
	}
	cc.clients.find = func(ctx context.Context, namespace string) (*namespaceClient, error) {
		c, err := callClients(ctx, o.Clients, namespace)
		if err != nil {
			return nil, fmt.Errorf("no client for namespace %q: %w", namespace, err)
		}
		n, data, failure, err := newNamespaceClient(c)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: the client for namespace %q: %w", ErrRefused, namespace, err)
		case n.namespace != namespace:
			return nil, fmt.Errorf("%w: Options.Clients returned a client of namespace %q for namespace %q", ErrRefused, n.namespace, namespace)
		case !cc.convertsAs(data, failure):
			return nil, fmt.Errorf("%w: the client for namespace %q has other converters than completer.Options", ErrRefused, namespace)
		}
		return n, nil
	}
	return cc, nil
}

// callClients calls the application. A panic is an error, which does not repeat
// the text of the panic.
func callClients(ctx context.Context, clients func(context.Context, string) (Client, error), namespace string) (c Client, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("Options.Clients panicked with a value of type %T", value)
		}
	}()
	return clients(ctx, namespace)
}

// namespaces finds the client of a namespace. The zero value has none.
type namespaces struct {
	// find makes the client of a namespace. Nil means that only those that were
	// added exist.
	find func(ctx context.Context, namespace string) (*namespaceClient, error)

	mu    sync.Mutex
	known map[string]*known
}

// known is a namespace that was asked for.
type known struct {
	finding chan struct{} // holds one value while find is called
	client  *namespaceClient
}

// of returns what is known of a namespace.
func (s *namespaces) of(namespace string) *known {
	k := s.known[namespace]
	if k == nil {
		if s.known == nil {
			s.known = make(map[string]*known)
		}
		k = &known{finding: make(chan struct{}, 1)}
		s.known[namespace] = k
	}
	return k
}

// add adds a client, unless its namespace has one.
func (s *namespaces) add(n *namespaceClient) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.of(n.namespace)
	if k.client != nil {
		return false
	}
	k.client = n
	return true
}

// get returns the client of a namespace, and finds it if need be. Concurrent
// callers wait for the one that finds it.
func (s *namespaces) get(ctx context.Context, namespace string) (*namespaceClient, error) {
	s.mu.Lock()
	if s.find == nil {
		defer s.mu.Unlock()
		if k := s.known[namespace]; k != nil {
			return k.client, nil
		}
		return nil, fmt.Errorf("%w: no client for namespace %q: give completer.New a client for it, or give the hub a store of its own: hubs that share a store should reach the same namespaces", ErrRefused, namespace)
	}
	k := s.of(namespace)
	n := k.client
	s.mu.Unlock()
	if n != nil {
		return n, nil
	}
	select {
	case k.finding <- struct{}{}:
		defer func() { <-k.finding }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	n = k.client
	s.mu.Unlock()
	if n != nil {
		return n, nil
	}
	n, err := s.find(ctx, namespace)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	k.client = n
	s.mu.Unlock()
	return n, nil
}
