package postgres_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

func TestOpenByURL(t *testing.T) {
	t.Parallel()
	plain := schema(t, server.Server(t))
	u, err := url.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	// The first of two hosts has no server; what is written is at the second.
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	hosts := *u
	hosts.Host = ""
	hosts.RawQuery += "&host=127.0.0.1,127.0.0.1&port=1," + port
	for _, test := range []string{plain, strings.Replace(plain, "postgres://", "postgresql://", 1), hosts.String(), plain + "&pool_max_conns=1"} {
		s, err := store.Open(t.Context(), test)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("entry-%d", len(test))
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
	// They were one store.
	if n := len(list(t, open(t, plain))); n != 4 {
		t.Errorf("List of what was put by several URLs: got %d entries, want 4", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const secret = "pass-in-the-url"
	u, err := url.Parse(schema(t, server.Server(t)))
	if err != nil {
		t.Fatal(err)
	}
	good := u.String()
	open(t, good)
	u.User = url.UserPassword("latchkey", secret)
	for name, test := range map[string]struct {
		url  string
		want error // nil: any
	}{
		"another password":              {u.String(), nil},
		"a host without server":         {"postgres://latchkey:" + secret + "@127.0.0.1:1/postgres", nil},
		"a server that takes no writes": {good + "&default_transaction_read_only=on", nil},
		"a parameter of pgx":            {u.String() + "&pool_max_conns=" + secret, store.ErrInvalid},
		"no URL of PostgreSQL":          {"postgres:" + secret, store.ErrInvalid},
	} {
		s, err := store.Open(t.Context(), test.url)
		if err == nil {
			t.Errorf("Open with %s: got nil, want an error", name)
			_ = s.Close()
			continue
		}
		if e, ok := errors.AsType[*store.Error](err); !ok || e.Op != "open" || e.Backend != "postgres" {
			t.Errorf("Open with %s: got %#v, want a *store.Error of postgres's open", name, err)
		}
		if s != nil {
			t.Errorf("Open with %s: got a store beside the error", name)
		}
		if test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("Open with %s: got %v, want an error that is %q", name, err, test.want)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("Open with %s: got an error with the password in it", name)
		}
	}
}

// TestSessionsAreReadCommitted opens as one would whose database is set to
// another isolation, where a Put that has to wait fails instead of conflicting.
func TestSessionsAreReadCommitted(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t, server.Server(t))+"&default_transaction_isolation=serializable")
	e := put(t, s, store.Entry{ID: "entry", Body: []byte("body")})
	const rounds, racers = 30, 4
	for range rounds {
		won := make(chan uint64, racers)
		var wg sync.WaitGroup
		for range racers {
			wg.Go(func() {
				version, err := s.Put(t.Context(), e)
				if err == nil {
					won <- version
				} else if !errors.Is(err, store.ErrConflict) {
					t.Errorf("Put beside others: got %v, want nil or ErrConflict", err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d Puts at one version: got nil from %d, want from one", racers, len(won))
		}
		e.Version = <-won
	}
}

// TestDeletesAtOnce deletes one version from several callers: it was there, or
// it is gone, and at no time at another version.
func TestDeletesAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t, server.Server(t)))
	const rounds, racers = 30, 4
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

// TestOpensAtOnce has processes make the table in the same moment.
func TestOpensAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		at := schema(t, server.Server(t))
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), at)
				if err != nil {
					t.Errorf("Open beside others: got %v, want nil", err)
					return
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: got %v, want nil", err)
				}
			})
		}
		wg.Wait()
	}
}

// TestOpenWithoutTheRightToCreate opens as a role that may use the table only.
func TestOpenWithoutTheRightToCreate(t *testing.T) {
	t.Parallel()
	owner := schema(t, server.Server(t))
	open(t, owner)
	u, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	schema, _ := u.User.Password()
	search := u.Query().Get("search_path")
	role := "role_" + search
	exec(t, owner, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", role, schema))
	exec(t, owner, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", search, role))
	exec(t, owner, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON latchkey_entries TO %s", role))
	u.User = url.UserPassword(role, schema)
	s := open(t, u.String())
	e := put(t, s, store.Entry{ID: "entry", Due: at(1), Body: []byte("body")})
	claimed, err := s.Claim(t.Context(), at(1), at(2), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: got %d entries and %v, want one", len(claimed), err)
	}
	if err := s.Delete(t.Context(), e.ID, claimed[0].Version); err != nil {
		t.Errorf("Delete: got %v, want nil", err)
	}
}
