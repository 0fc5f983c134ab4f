package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// TestBackup copies a store during writes. The copy has all writes that were
// acknowledged before the backup began. If the copy has a write, it also has
// all earlier writes.
func TestBackup(t *testing.T) {
	s := openWith(t, newPath(t), Options{Mode: 0o640})
	for i := range 500 {
		if i%2 == 0 {
			continue
		}
		put(t, s, store.Entry{ID: fmt.Sprintf("before-%d", i), Due: at(int64(i)), Body: make([]byte, 500)})
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Put(t.Context(), store.Entry{ID: strconv.Itoa(i), Body: make([]byte, 500)}); err != nil {
				t.Errorf("Put: %v", err)
				return
			}
		}
	})
	path := newPath(t)
	err := s.Backup(t.Context(), path)
	close(stop)
	wg.Wait()
	must(t, err)
	wantOnly(t, filepath.Dir(path), "latchkey.db")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("expected the permissions of the original, 0640, got %v, %v", info, err)
	}

	b := open(t, path)
	must(t, b.Check(t.Context()))
	last := -1
	there := make(map[string]bool)
	for e, err := range b.List(t.Context()) {
		must(t, err)
		there[e.ID] = true
		if i, err := strconv.Atoi(e.ID); err == nil {
			last = max(last, i)
		}
	}
	for i := range 500 {
		if i%2 == 1 && !there[fmt.Sprintf("before-%d", i)] {
			t.Errorf("before-%d was acknowledged before the backup, and isn't in it", i)
		}
	}
	for i := range last {
		if !there[strconv.Itoa(i)] {
			t.Errorf("%d isn't in the backup, and %d, written later, is", i, last)
		}
	}

	if err := s.Backup(t.Context(), path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: expected fs.ErrExist, got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, newPath(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: expected its error, got %v", err)
	}
	if _, err := (contextWriter{ctx, io.Discard}).Write([]byte("a page")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ends meanwhile: expected its error, got %v", err)
	}
	must(t, s.Close())
	if err := s.Backup(t.Context(), newPath(t)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: expected ErrClosed, got %v", err)
	}
}

// TestCompact follows the steps in docs/operations.md. bbolt's compaction of a
// closed file creates a smaller file with the same entries, and their versions
// continue.
func TestCompact(t *testing.T) {
	path, smaller := newPath(t), newPath(t)
	s := openWith(t, path, Options{NoSyncForTests: true})
	var all []store.Entry
	for i := range 1000 {
		all = append(all, put(t, s, store.Entry{ID: strconv.Itoa(i), Due: at(int64(i)), Body: make([]byte, 1000)}))
	}
	kept := all[500]
	for _, e := range all {
		if e.ID != kept.ID {
			must(t, s.Delete(t.Context(), e.ID, e.Version))
		}
	}
	must(t, s.Close())

	src, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: 1})
	must(t, err)
	dst, err := bbolt.Open(smaller, 0o600, nil)
	must(t, err)
	must(t, bbolt.Compact(dst, src, 64<<10))
	must(t, errors.Join(src.Close(), dst.Close()))

	s = open(t, smaller)
	must(t, s.Check(t.Context()))
	got, err := s.Get(t.Context(), kept.ID)
	if err != nil || !same(got, kept) {
		t.Errorf("expected the entry as it was, got %v", err)
	}
	if e := put(t, s, store.Entry{ID: "new"}); e.Version != 1001 {
		t.Errorf("expected version 1001, got %d", e.Version)
	}
	before, err := os.Stat(path)
	must(t, err)
	after, err := os.Stat(smaller)
	must(t, err)
	if after.Size() >= before.Size() {
		t.Errorf("expected a smaller file than %d bytes, got %d", before.Size(), after.Size())
	}
}
