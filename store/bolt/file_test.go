package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/bolt/internal/pages"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

func TestFileMode(t *testing.T) {
	for name, c := range map[string]struct{ set, want os.FileMode }{
		"default": {0, 0o600},
		"set":     {0o660, 0o660},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			openWith(t, path, Options{Mode: c.set})
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != c.want {
				t.Errorf("expected mode %v, got %v", c.want, info.Mode())
			}
			wantOnly(t, filepath.Dir(path), "latchkey.db")
		})
	}
}

// wantOnly checks that a directory has exactly these files.
func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("files in the directory: expected %v, got %v", names, got)
	}
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"unreadable mode": {Mode: 0o060},
		"mode of a link":  {Mode: 0o600 | os.ModeSymlink},
		"lock timeout":    {LockTimeout: -1},
	} {
		_, err := Open(t.Context(), newPath(t), o)
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: expected ErrInvalid, got %v", name, err)
		}
	}
	if _, err := Open(t.Context(), "", Options{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("no path: expected ErrInvalid, got %v", err)
	}
	if _, err := Open(t.Context(), t.TempDir(), Options{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a directory: expected ErrInvalid, got %v", err)
	}
	missing := filepath.Join(t.TempDir(), "missing", "latchkey.db")
	if _, err := Open(t.Context(), missing, Options{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("no directory: expected fs.ErrNotExist with the path, got %v", err)
	}
}

func TestLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newPath(t)
		s := open(t, path)
		start := time.Now()
		_, err := Open(t.Context(), path, Options{LockTimeout: 3 * time.Second})
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
			t.Errorf("expected ErrLocked with the path, got %v", err)
		}
		if waited := time.Since(start); waited != 3*time.Second {
			t.Errorf("expected to wait 3 s, got %v", waited)
		}

		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 1010*time.Millisecond)
		defer cancel()
		if _, err := Open(ctx, path, Options{LockTimeout: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("expected the context's error, got %v", err)
		}
		if waited := time.Since(start); waited != 1010*time.Millisecond {
			t.Errorf("expected to wait for the context, 1.01 s, got %v", waited)
		}

		// A waiting Open gets the file when it is free, with all its data.
		put(t, s, store.Entry{ID: "a"})
		time.AfterFunc(time.Second, func() { _ = s.Close() })
		next := openWith(t, path, Options{LockTimeout: time.Hour})
		wantThere(t, next, "a", true)
	})
}

// TestCreatedOnce: many calls open one path that has no file. One call creates
// the file, and all use it.
func TestCreatedOnce(t *testing.T) {
	for range 4 {
		path := newPath(t)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s, err := Open(t.Context(), path, Options{LockTimeout: time.Minute})
				if err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				if _, err := s.Put(t.Context(), store.Entry{ID: strconv.Itoa(i)}); err != nil {
					t.Errorf("Put: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		wg.Wait()
		s := open(t, path)
		for i := range 8 {
			wantThere(t, s, strconv.Itoa(i), true)
		}
		wantOnly(t, filepath.Dir(path), "latchkey.db")
	}
}

// sample creates a file of three levels with some free pages, and returns the
// file and its content.
func sample(t *testing.T) (content []byte, entries map[string]store.Entry) {
	t.Helper()
	path := newPath(t)
	s := openWith(t, path, Options{NoSyncForTests: true})
	entries = make(map[string]store.Entry)
	err := s.write(t.Context(), 0, func(tx *txn) error {
		for i := range 400 {
			e := store.Entry{ID: fmt.Sprintf("entry-of-a-name-that-is-somewhat-longer-%d0", i), Due: at(int64(i)), Body: bytes.Repeat([]byte{byte(i)}, 300)}
			if i == 7 {
				e.Body = bytes.Repeat([]byte{7}, 10_000) // overflows
			}
			var err error
			if e.Version, err = tx.put(e.ID, never, e.Due.UnixMilli(), newValue(e.ID, e.Body)); err != nil {
				return err
			}
			entries[e.ID] = e
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, e := range entries {
		if e.Version%20 == 0 {
			if err := s.Delete(t.Context(), id, e.Version); err != nil {
				t.Fatal(err)
			}
			delete(entries, id)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content, entries
}

// layoutOf returns the layout of a file's content.
func layoutOf(t *testing.T, content []byte) *pages.Layout {
	t.Helper()
	f, err := os.Open(damaged(t, content, func(image) {}))
	must(t, err)
	defer f.Close()
	l, err := pages.Inspect(f)
	must(t, err)
	return l
}

func TestBadFiles(t *testing.T) {
	content, _ := sample(t)
	size := os.Getpagesize()
	foreign := func(t *testing.T, path string) {
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("users")); return err }); err != nil {
			t.Fatal(err)
		}
	}
	write := func(b []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	both := func(at int, b ...byte) []byte { // changes both meta pages
		damaged := bytes.Clone(content)
		copy(damaged[at:], b)
		copy(damaged[size+at:], b)
		return damaged
	}
	setFormat := func(format string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			write(content)(t, path)
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte(format)) })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	noFreelist := func(t *testing.T, path string) {
		write(content)(t, path)
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put([]byte("x"), nil) }); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		is   error
		says string
	}{
		"empty":                  {write(nil), store.ErrCorrupt, "empty"},
		"text":                   {write([]byte("not a database\n")), store.ErrCorrupt, "no bbolt file"},
		"long text":              {write(bytes.Repeat([]byte("not a database\n"), 10_000)), store.ErrCorrupt, "no bbolt file"},
		"zeros":                  {write(make([]byte, len(content))), store.ErrCorrupt, "no bbolt file"},
		"half a page":            {write(content[:size/2]), store.ErrCorrupt, ""},
		"one page":               {write(content[:size]), store.ErrCorrupt, "cut short"},
		"two pages":              {write(content[:2*size]), store.ErrCorrupt, "cut short"},
		"half":                   {write(content[:len(content)/2]), store.ErrCorrupt, "cut short"},
		"a page short":           {write(content[:int(layoutOf(t, content).Pages-1)*size]), store.ErrCorrupt, "cut short"},
		"both metas damaged":     {write(both(60, 0xff)), store.ErrCorrupt, "no bbolt file"},
		"bbolt of the future":    {write(both(20, 3)), store.ErrCorrupt, ""},
		"somebody else's":        {foreign, store.ErrCorrupt, "is not Latchkey's"},
		"no free list":           {noFreelist, store.ErrCorrupt, "bbolt compact"},
		"newer format":           {setFormat("2"), ErrFormat, "has format 2, and this release knows formats up to 1"},
		"unreadable format":      {setFormat("x"), store.ErrCorrupt, "format"},
		"format below the first": {setFormat("0"), store.ErrCorrupt, "format"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.db")
			c.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), path, Options{})
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, c.is) {
				t.Fatalf("expected %v, got %v", c.is, err)
			}
			if c.is == ErrFormat && errors.Is(err, store.ErrCorrupt) {
				t.Errorf("expected a newer file not to be taken for a damaged one, got %v", err)
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("expected the path and %q in the error, got %v", c.says, err)
			}
			if _, ok := errors.AsType[*store.Error](err); !ok {
				t.Errorf("expected a *store.Error, got %T", err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("expected the file to be left as it was, and it was changed")
			}
			// The file is not kept open.
			if db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 1, ReadOnly: true}); errors.Is(err, berrors.ErrTimeout) {
				t.Error("expected the file to be free again, and it is locked")
			} else if err == nil {
				_ = db.Close()
			}
		})
	}
}

// TestDamagedWhileInUse opens a damaged file that another store has open. The
// error is ErrLocked, because the damage may be an unfinished write.
func TestDamagedWhileInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	open(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 2 {
		if _, err := f.WriteAt([]byte{0xff}, int64(i*os.Getpagesize()+60)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), path, Options{LockTimeout: 50 * time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("expected ErrLocked, got %v", err)
	}
}
