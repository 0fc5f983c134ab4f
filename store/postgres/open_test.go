package postgres_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/postgres"
)

func TestOpenByURL(t *testing.T) {
	t.Parallel()
	p := place{url: server.Server(t).URL(""), schema: newSchema()}
	u, err := url.Parse(p.with(""))
	if err != nil {
		t.Fatal(err)
	}
	// The first of the two hosts has no server, so the second one is used.
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	hosts := *u
	hosts.Host = ""
	hosts.RawQuery += "&host=127.0.0.1,127.0.0.1&port=1," + port
	searched := strings.Replace(p.with(""), "?schema=", "?search_path=nowhere,", 1)
	for i, test := range []string{
		p.with("&migrate=true"), strings.Replace(p.with(""), "postgres://", "postgresql://", 1), hosts.String(),
		p.with("&pool_max_conns=1"), searched,
	} {
		s, err := store.Open(t.Context(), test)
		if err != nil {
			t.Fatalf("Open, URL %d: got %v, want nil", i, err)
		}
		id := fmt.Sprintf("entry-%d", i)
		version, err := s.Put(t.Context(), store.Entry{ID: id, Body: []byte("body")})
		if err != nil {
			t.Errorf("Put: got %v, want nil", err)
		}
		if got, err := s.Get(t.Context(), id); err != nil || got.Version != version {
			t.Errorf("Get: got version %d and %v, want %d and nil", got.Version, err, version)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
	}
	// All of the processes opened the same store.
	if n := len(list(t, open(t, p))); n != 5 {
		t.Errorf("List of what was put by several URLs: got %d entries, want 5", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const secret = "pass-in-the-url"
	p := newPlace(t)
	u, err := url.Parse(p.with(""))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("latchkey", secret)
	for name, test := range map[string]struct {
		url  string
		want error // nil: any
	}{
		"another password":              {u.String(), nil},
		"a host without server":         {"postgres://latchkey:" + secret + "@127.0.0.1:1/postgres", nil},
		"a server that takes no writes": {p.with("&default_transaction_read_only=on"), nil},
		"a parameter of pgx":            {u.String() + "&pool_max_conns=" + secret, store.ErrInvalid},
		"no URL of PostgreSQL":          {"postgres:" + secret, store.ErrInvalid},
		"a query that can't be read":    {u.String() + "&x=%zz", store.ErrInvalid},
		"neither true nor false":        {p.with("&migrate=" + secret), store.ErrInvalid},
		"a schema in quotes":            {p.url + `?schema=a"b`, store.ErrInvalid},
		"a prefix that is too long":     {p.with("&table_prefix=" + strings.Repeat("a", 41)), store.ErrInvalid},
		"tables of another prefix":      {p.with("&table_prefix=other_"), postgres.ErrSchema},
		"no schema":                     {p.url + "?search_path=nowhere", postgres.ErrSchema},
	} {
		s, err := store.Open(t.Context(), test.url)
		if err == nil {
			t.Errorf("Open with %s: got nil, want an error", name)
			_ = s.Close()
			continue
		}
		if e, ok := errors.AsType[*store.Error](err); !ok || e.Op != "open" || !strings.HasPrefix(e.Backend, "postgres") {
			t.Errorf("Open with %s: got %#v, want a *store.Error of postgres's open", name, err)
		}
		if s != nil {
			t.Errorf("Open with %s: got a store together with the error", name)
		}
		if test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("Open with %s: got %v, want an error that is %q", name, err, test.want)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("Open with %s: got an error with the password in it", name)
		}
	}
	for name, o := range map[string]postgres.Options{
		"neither a pool nor a URL": {},
		"both":                     {Pool: adminPool(t), URL: p.url},
	} {
		if _, err := postgres.Open(t.Context(), o); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Open with %s: got %v, want ErrInvalid", name, err)
		}
		if err := postgres.Migrate(t.Context(), o); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Migrate with %s: got %v, want ErrInvalid", name, err)
		}
	}
}

// TestPoolStaysOpen: Close of a store leaves the application's pool open.
func TestPoolStaysOpen(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	put(t, s, store.Entry{ID: "entry"})
	if err := s.Close(); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
	if err := s.pool.Ping(t.Context()); err != nil {
		t.Errorf("Ping of the application's pool after Close: got %v, want nil", err)
	}
}

// TestStoresShareASchema: stores with different prefixes are separate.
func TestStoresShareASchema(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	o := postgres.Options{Pool: adminPool(t), Schema: p.schema, TablePrefix: "select_"} // a keyword of SQL
	if err := postgres.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	other, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	s := open(t, p)
	put(t, s, store.Entry{ID: "entry", Due: at(1)})
	put(t, other, store.Entry{ID: "entry", Due: at(1)})
	put(t, other, store.Entry{ID: "another"})
	if a, b := len(list(t, s)), len(list(t, other)); a != 1 || b != 2 {
		t.Errorf("List of two stores in a schema: got %d and %d entries, want 1 and 2", a, b)
	}
}

// TestEveryIsolation makes callers race in a database whose default isolation
// level is not read committed. In such a database, a Put that has to wait
// fails, and the store runs it again.
func TestEveryIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			s := open(t, newPlace(t), func(c *pgxpool.Config) {
				c.ConnConfig.RuntimeParams["default_transaction_isolation"] = level
			})
			e := put(t, s, store.Entry{ID: "entry", Body: []byte("body")})
			const rounds, racers = 20, 4
			for range rounds {
				won := make(chan uint64, racers)
				var wg sync.WaitGroup
				for range racers {
					wg.Go(func() {
						version, err := s.Put(t.Context(), e)
						if err == nil {
							won <- version
						} else if !errors.Is(err, store.ErrConflict) {
							t.Errorf("Put while others put: got %v, want nil or ErrConflict", err)
						}
					})
				}
				wg.Wait()
				if len(won) != 1 {
					t.Fatalf("%d Puts at one version: got nil from %d, want from one", racers, len(won))
				}
				e.Version = <-won
			}
		})
	}
}

// TestDeletesAtOnce makes several callers delete one version. The entry exists
// at this version or is gone, and never has another version.
func TestDeletesAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	const rounds, racers = 20, 4
	for range rounds {
		e := put(t, s, store.Entry{ID: "entry"})
		var wg sync.WaitGroup
		for range racers {
			wg.Go(func() {
				if err := s.Delete(t.Context(), e.ID, e.Version); err != nil {
					t.Errorf("one of %d equal Deletes: got %v, want nil", racers, err)
				}
			})
		}
		wg.Wait()
	}
}
