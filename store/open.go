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

// Opener opens the store that a URL names. It returns its errors as an
// [*Error] with Op "open", and never repeats a password.
type Opener func(ctx context.Context, u *url.URL) (Store, error)

var drivers = struct {
	sync.RWMutex
	byScheme map[string]Opener
}{byScheme: map[string]Opener{"memory": openMemory}}

// Register makes a backend known to [Open] under a URL scheme, in lower case.
// A backend's package calls it from init. Like database/sql's, it panics on a
// nil opener and on a scheme that is taken.
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

// Open opens a store by URL: "memory:", and for each backend whose package is
// imported what that package says, such as "bolt:///var/lib/app/latchkey.db"
// or "redis://localhost:6379/0". The caller closes it. A URL that can't be
// used is ErrInvalid; errors name the scheme and never the rest, where a
// password may be.
func Open(ctx context.Context, rawURL string) (Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// What url.Parse says repeats the URL, password and all.
		return nil, Wrap("open", "store", "", fmt.Errorf("%w: the URL can't be read", ErrInvalid))
	}
	drivers.RLock()
	open := drivers.byScheme[u.Scheme]
	drivers.RUnlock()
	if open == nil {
		return nil, Wrap("open", "store", "", fmt.Errorf("%w: no backend for scheme %q; known are %s: is its package imported?",
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
		return nil, fmt.Errorf("%w: the in-memory store's URL is \"memory:\", with nothing behind it", ErrInvalid)
	}
	return NewMemory(), nil
}
