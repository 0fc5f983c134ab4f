package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

func init() { childKinds["full"] = fullChild }

// TestFullDisk fills a file system of a megabyte. Only root can mount such a
// file system.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a small file system: %v; TestFileSizeLimit shows much the same", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	path := filepath.Join(dir, "latchkey.db")
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 400<<10), 0o600))
	must(t, fillUp(t.Context(), path, syscall.ENOSPC, func() error { return os.Remove(ballast) }))
	checkFile(t, path)
}

// TestFileSizeLimit repeats TestFullDisk with a limit on the size of files,
// which needs no small disk.
func TestFileSizeLimit(t *testing.T) {
	path := newPath(t)
	must(t, child(t, "full", path).Run())
}

func fullChild(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	set := func(n uint64) error {
		limit.Cur = n
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
	}
	if err := errors.Join(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit), set(600<<10)); err != nil {
		return err
	}
	return fillUp(context.Background(), path, nil, func() error { return set(limit.Max) })
}

// fillUp writes from many goroutines until the disk is full, and compares the
// results of the calls with the entries. fillUp then makes room and continues.
func fillUp(ctx context.Context, path string, is error, room func() error) error {
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	const writers = 8
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		acked  = make(map[string]uint64)
		failed []string
		errs   []error
	)
	for w := range writers {
		wg.Go(func() {
			for i := range 1000 {
				id := fmt.Sprintf("%d-%d", w, i)
				version, err := s.Put(ctx, store.Entry{ID: id, Due: at(int64(i)), Body: fullBody(id)})
				mu.Lock()
				if err == nil {
					acked[id] = version
				} else {
					failed = append(failed, id)
					errs = append(errs, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if len(failed) != writers || len(acked) < writers {
		return fmt.Errorf("expected %d writes to fail, and some more not to, got %d and %d", writers, len(failed), len(acked))
	}
	for _, err := range errs {
		if is != nil && !errors.Is(err, is) {
			return fmt.Errorf("expected %w, got %w", is, err)
		}
		if errors.Is(err, store.ErrCorrupt) {
			return fmt.Errorf("expected no word of damage, got %w", err)
		}
	}
	there := func(s *Store) error {
		for id, version := range acked {
			e, err := s.Get(ctx, id)
			if err != nil || e.Version != version || !bytes.Equal(e.Body, fullBody(id)) {
				return fmt.Errorf("%s was acknowledged at version %d: got version %d, %w, or another body", id, version, e.Version, err)
			}
		}
		for _, id := range failed {
			if _, err := s.Get(ctx, id); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("%s failed: expected ErrNotFound, got %w", id, err)
			}
		}
		return s.Check(ctx)
	}
	if err := there(s); err != nil {
		return fmt.Errorf("while there is no room: %w", err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	// A file can be opened when the disk has no room for more.
	if s, err = Open(ctx, path, Options{}); err != nil {
		return err
	}
	if err := there(s); err != nil {
		return fmt.Errorf("opened again without room: %w", err)
	}
	if _, err := s.Put(ctx, store.Entry{ID: "large", Body: make([]byte, 1<<20)}); err == nil {
		return errors.New("expected no room for a large entry, and it was taken")
	}
	if err := room(); err != nil {
		return err
	}
	for _, id := range failed {
		if acked[id], err = s.Put(ctx, store.Entry{ID: id, Due: at(0), Body: fullBody(id)}); err != nil {
			return fmt.Errorf("once there is room: %w", err)
		}
	}
	failed = nil
	if err := there(s); err != nil {
		return fmt.Errorf("once there is room: %w", err)
	}
	return s.Close()
}

func fullBody(id string) []byte { return bytes.Repeat([]byte(id), 1000) }
