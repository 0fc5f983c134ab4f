package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func TestOpenMemory(t *testing.T) {
	s, err := store.Open(t.Context(), "memory:")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), store.Entry{ID: "a"}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	const secret = "pa55word"
	for _, bad := range []string{
		"", "nothing", "memory:x", "memory://host", "memory:?a=b", "memory:/x",
		"unknown://user:" + secret + "@host/0",
		"redis://user:" + secret + "@host:port/0",
		"://" + secret, "%zz" + secret, secret + ":" + secret, "memory://user:" + secret + "@",
	} {
		s, err := store.Open(t.Context(), bad)
		if s != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: %v, %v, want ErrInvalid", bad, s, err)
			continue
		}
		e, ok := errors.AsType[*store.Error](err)
		if !ok || e.Op != "open" || e.Backend == "" {
			t.Errorf("%q: %#v, want a *store.Error of op open", bad, err)
		}
		if strings.Contains(err.Error(), secret) && !strings.HasPrefix(bad, secret) {
			t.Errorf("%q: the error repeats the password: %v", bad, err)
		}
	}
	_, err := store.Open(t.Context(), "unknown://x")
	if !strings.Contains(err.Error(), "memory") || !strings.Contains(err.Error(), "import the package") {
		t.Errorf("the error should name the registered schemes and what to do: %v", err)
	}
}

// registered counts the schemes that tests have registered. A registration is
// permanent.
var registered atomic.Int64

func TestRegister(t *testing.T) {
	broken := errors.New("broken")
	scheme := fmt.Sprintf("testregister%d", registered.Add(1))
	store.Register(scheme, func(_ context.Context, u *url.URL) (store.Store, error) {
		if u.Path == "/broken" {
			return nil, broken
		}
		return store.NewMemory(), nil
	})
	if _, err := store.Open(t.Context(), scheme+"://x"); err != nil {
		t.Error(err)
	}
	_, err := store.Open(t.Context(), scheme+":///broken")
	if e, ok := errors.AsType[*store.Error](err); !ok || !errors.Is(err, broken) || e.Backend != scheme {
		t.Errorf("the opener's error came as %v", err)
	}
	for name, f := range map[string]func(){
		"twice": func() {
			store.Register(scheme, func(context.Context, *url.URL) (store.Store, error) { return nil, nil })
		},
		"memory": func() {
			store.Register("memory", func(context.Context, *url.URL) (store.Store, error) { return nil, nil })
		},
		"nothing": func() { store.Register("testregister2", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestWrapOnce(t *testing.T) {
	cause := fmt.Errorf("reset: %w", context.Canceled)
	id := strings.Repeat("a", 54)
	err := store.Wrap("get", "memory", id, cause)
	again := store.Wrap("claim", "other", "", err)
	if again != err {
		t.Error("it was wrapped twice")
	}
	if !errors.Is(err, context.Canceled) {
		t.Error("the context's error is out of reach")
	}
	if got, want := err.Error(), "store: memory get aaaaaaaaaaaaaaaa…: reset: context canceled"; got != want {
		t.Errorf("the error is %q, want %q", got, want)
	}
	if store.Wrap("get", "memory", id, nil) != nil {
		t.Error("nil was wrapped")
	}
	if got := store.Wrap("claim", "memory", "", store.ErrClosed).Error(); got != "store: memory claim: closed" {
		t.Errorf("the error is %q", got)
	}
}

func TestShortID(t *testing.T) {
	for id, want := range map[string]string{
		"":                      "",
		"a":                     "a",
		strings.Repeat("a", 16): strings.Repeat("a", 16),
		strings.Repeat("a", 17): strings.Repeat("a", 16) + "…",
		"with space":            "",
		"\xff":                  "",
	} {
		if got := store.ShortID(id); got != want {
			t.Errorf("ShortID(%q) is %q, want %q", id, got, want)
		}
	}
}

func TestCheckClaim(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	if err := store.CheckClaim(now, now.Add(time.Millisecond), 1); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"none":         store.CheckClaim(now, now.Add(time.Second), 0),
		"no time":      store.CheckClaim(now, now, 1),
		"a hair":       store.CheckClaim(now, now.Add(999*time.Microsecond), 1),
		"before 1970":  store.CheckClaim(time.UnixMilli(-5), now, 1),
		"zero":         store.CheckClaim(time.Time{}, now, 1),
		"end of times": store.CheckClaim(now, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), 1),
	} {
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
