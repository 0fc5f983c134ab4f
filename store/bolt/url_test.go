package bolt

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func TestURL(t *testing.T) {
	for in, want := range map[string]struct {
		path string
		o    Options
	}{
		"bolt:///var/lib/app.db":                 {"/var/lib/app.db", Options{}},
		"bolt:/var/lib/app.db":                   {"/var/lib/app.db", Options{}},
		"bolt:app.db":                            {"app.db", Options{}},
		"bolt:dir/a%20b%23.db":                   {"dir/a b#.db", Options{}},
		"bolt:///a%20b.db?lock_timeout=1m30s":    {"/a b.db", Options{LockTimeout: 90 * time.Second}},
		"bolt:///a.db?mode=0640&lock_timeout=5s": {"/a.db", Options{Mode: 0o640, LockTimeout: 5 * time.Second}},
		"bolt:app.db?mode=660":                   {"app.db", Options{Mode: 0o660}},
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		path, o, err := parseURL(u)
		if path != want.path || o != want.o || err != nil {
			t.Errorf("%s: expected %q, %+v, got %q, %+v, %v", in, want.path, want.o, path, o, err)
		}
	}
}

func TestBadURL(t *testing.T) {
	for _, bad := range []string{
		"bolt:",
		"bolt://",
		"bolt://var/lib/app.db",
		"bolt://user:secret@/var/lib/app.db",
		"bolt://secret@host/app.db",
		"bolt:///a.db#secret",
		"bolt:a%zzsecret",
		"bolt:///a.db?%zz=secret",
		"bolt:///a.db?no_sync=secret",
		"bolt:///a.db?mode=0640&mode=secret",
		"bolt:///a.db?mode=secret",
		"bolt:///a.db?mode=0",
		"bolt:///a.db?mode=077777",
		"bolt:///a.db?mode=4600",
		"bolt:///a.db?lock_timeout=secret",
		"bolt:///a.db?lock_timeout=0s",
		"bolt:///a.db?lock_timeout=-1s",
	} {
		s, err := store.Open(t.Context(), bad)
		if s != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: expected no store and ErrInvalid, got %v, %v", bad, s, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: expected nothing of the URL's values in the error, got %v", bad, err)
		}
	}
}

func TestOpenByURL(t *testing.T) {
	path := newPath(t)
	t.Chdir(filepath.Dir(path))
	s, err := store.Open(t.Context(), "bolt:latchkey.db?mode=0640&lock_timeout=1s")
	if err != nil {
		t.Fatal(err)
	}
	// The path is relative to the directory at the time of the call.
	t.Chdir(t.TempDir())
	put(t, s, store.Entry{ID: "a"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("expected a file of mode 0640, got %v, %v", info, err)
	}
	if s, err = store.Open(t.Context(), "bolt://"+path); err != nil {
		t.Fatal(err)
	}
	wantThere(t, s.(*Store), "a", true)
	if _, err := store.Open(t.Context(), "bolt://"+path+"?lock_timeout=1ms"); !errors.Is(err, ErrLocked) {
		t.Errorf("expected ErrLocked, got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
