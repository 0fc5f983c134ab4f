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
	// Clients returns the client for a namespace. The completer calls Clients
	// when it first needs the namespace, and keeps the client. After an error,
	// the completer calls Clients again when it next needs the namespace. The
	// completer makes one call at a time for each namespace. Calls for
	// different namespaces may run concurrently. Clients must return when its
	// context ends. An error that wraps [ErrRefused] means that the process
	// does not serve the namespace until an operator acts. After any other
	// error, the hub retries as if the server were unreachable. Required.
	Clients func(ctx context.Context, namespace string) (Client, error)

	// DataConverter is the data converter of all clients. Defaults to the
	// SDK's.
	DataConverter converter.DataConverter

	// FailureConverter is the failure converter of all clients. Defaults to the
	// SDK's.
	FailureConverter converter.FailureConverter
}

// NewForNamespaces returns a Completer for processes that learn their
// namespaces at run time. The Completer works like the one of [New], but takes
// the client of each namespace from Options.Clients. NewForNamespaces makes no
// call.
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

// callClients calls the application's function Options.Clients. A panic of that
// function becomes an error without the text of the panic.
func callClients(ctx context.Context, clients func(context.Context, string) (Client, error), namespace string) (c Client, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("Options.Clients panicked with a value of type %T", value)
		}
	}()
	return clients(ctx, namespace)
}

// namespaces finds the client of a namespace. The zero value has no clients.
type namespaces struct {
	// find creates the client of a namespace. If find is nil, only the added
	// clients exist.
	find func(ctx context.Context, namespace string) (*namespaceClient, error)

	mu    sync.Mutex
	known map[string]*known
}

// known is the state of a namespace that a caller needed.
type known struct {
	finding chan struct{} // holds one value while find runs
	client  *namespaceClient
}

// of returns the state of a namespace.
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

// add adds a client, unless its namespace already has one.
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

// get returns the client of a namespace, and calls find if there is none.
// Concurrent callers wait for the caller that calls find.
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
