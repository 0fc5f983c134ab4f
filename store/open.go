package store

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Opener opens the store of a URL. The errors of an Opener do not contain a
// password. [Open] wraps an Opener's errors in an [*Error] with Op "open",
// unless they already are *Errors.
type Opener func(ctx context.Context, u *url.URL) (Store, error)

var drivers = struct {
	sync.RWMutex
	byScheme map[string]Opener
}{byScheme: map[string]Opener{"memory": openMemory}}

// Register makes a backend available to [Open] under a URL scheme, which must
// be in lower case. The package of a backend calls Register from init. Register
// panics if open is nil or if the scheme is already registered, like Register
// of database/sql.
func Register(scheme string, open Opener) {
	drivers.Lock()
	defer drivers.Unlock()
	if open == nil {
		panic("store: Register of " + scheme + " with a nil opener")
	}
	if _, taken := drivers.byScheme[scheme]; taken {
		panic("store: Register called twice for " + scheme)
	}
	drivers.byScheme[scheme] = open
}

// Open opens a store by URL. "memory:" opens the in-memory store. The package
// of a backend documents its URLs, such as "bolt:///var/lib/app/latchkey.db" or
// "redis://localhost:6379/0", and must be imported. The caller must close the
// store. Open returns ErrInvalid for a URL that it cannot use. The errors of
// Open contain only the scheme, because the rest of a URL may contain a
// password.
func Open(ctx context.Context, rawURL string) (Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The error of url.Parse repeats the URL, including a password.
		return nil, Wrap("open", "store", "", fmt.Errorf("%w: the URL cannot be parsed", ErrInvalid))
	}
	drivers.RLock()
	open := drivers.byScheme[u.Scheme]
	drivers.RUnlock()
	if open == nil {
		return nil, Wrap("open", "store", "", fmt.Errorf("%w: no backend is registered for the scheme %q, only for %s: import the package of the backend",
			ErrInvalid, u.Scheme, strings.Join(schemes(), ", ")))
	}
	s, err := open(ctx, u)
	return s, Wrap("open", u.Scheme, "", err)
}

func schemes() []string {
	drivers.RLock()
	defer drivers.RUnlock()
	return slices.Sorted(maps.Keys(drivers.byScheme))
}

func openMemory(_ context.Context, u *url.URL) (Store, error) {
	if u.Opaque != "" || u.Host != "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%w: the URL of the in-memory store must be \"memory:\" and nothing more", ErrInvalid)
	}
	return NewMemory(), nil
}
