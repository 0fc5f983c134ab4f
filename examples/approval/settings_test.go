package main

import (
	"errors"
	"flag"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string // in the error
	}{
		"all networks":     {[]string{"-addr", "0.0.0.0:8080"}, "for this machine only"},
		"all networks, v6": {[]string{"-addr", "[::]:8080"}, "for this machine only"},
		"no host":          {[]string{"-addr", ":8080"}, "for this machine only"},
		"another host":     {[]string{"-addr", "192.0.2.1:8080"}, "for this machine only"},
		"no port":          {[]string{"-auto", "-addr", "127.0.0.1"}, "port"},
		"an argument":      {[]string{"auto"}, "no arguments"},
		"another flag":     {[]string{"-automatic"}, "not defined"},
		"another store":    {[]string{"-auto", "-store", "paper:"}, `no backend is registered for the scheme "paper"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-data", t.TempDir()}, c.args...)
			if err := run(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v, want an error with %q", c.args, err, c.want)
			}
		})
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v, want %v", err, flag.ErrHelp)
	}
}

func TestDataDirectory(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache) // on systems other than Linux, the cache directory is below HOME
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "latchkey-approval"},
		{[]string{"-auto"}, ""},
		{[]string{"-auto", "-data", "x"}, "x"},
	} {
		s, err := parse(c.args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		got := s.data
		if got != "" {
			got = filepath.Base(got)
		}
		if got != c.want || c.args == nil && !strings.HasPrefix(s.data, cache) {
			t.Errorf("%q: directory %q, want %q", c.args, got, c.want)
		}
	}
}

func TestPortIsThatOfTheLastTime(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	address := func() string {
		l, err := listen(t.Context(), "127.0.0.1:0", data)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return l.Addr().String()
	}
	taken, err := listen(t.Context(), "127.0.0.1:0", data)
	if err != nil {
		t.Fatal(err)
	}
	if got := address(); got == taken.Addr().String() {
		t.Errorf("address %s twice, want another one while it is taken", got)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	// Another program may take a free port a moment later, but not every time.
	last, same := address(), false
	for range 20 {
		now := address()
		same = same || now == last
		last = now
	}
	if !same {
		t.Error("another address each time, want that of the last time")
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"84.20": "€84.20", " 7 ": "€7.00", "0.05": "€0.05", "999": "€999.00", "1299.00": "€1,299.00", "999999.99": "€999,999.99",
		"": "", "0": "", "0.00": "", "-1": "", "1.2": "", "1,20": "", "1e3": "", "1000000": "", "٣": "", "84.20€": "",
	} {
		got := ""
		if cents, err := parseCents(text); err == nil {
			got = Expense{Cents: cents}.Amount()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
