package devserver

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Kill)
	second := *first
	second.process = nil
	for i := range services[:len(services)-1] { // the worker service does not run
		if second.addresses, err = freeAddresses(len(services)); err != nil {
			t.Fatal(err)
		}
		second.addresses[i] = first.addresses[i]
		if p, err := second.run(t.Context()); !errors.Is(err, errAddressInUse) {
			if p != nil {
				p.kill()
			}
			t.Errorf("%s's address is taken: %v, want %v", services[i], err, errAddressInUse)
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("lock that is held: %v, want to wait for the context's end", err)
	}
	unlock()
	unlock, err = lock(t.Context(), path)
	if err != nil {
		t.Fatalf("lock that is free again: %v", err)
	}
	unlock()
}

// The hash of the program changes with its inputs.
func TestSourceHash(t *testing.T) {
	t.Parallel()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := sourceHash(root)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := sourceHash(root); err != nil || again != hash {
		t.Errorf("hash %s, then %s, %v; want the same", hash, again, err)
	}
	if _, err := sourceHash(t.TempDir()); err == nil {
		t.Error("hash of an empty directory: nil, want an error")
	}
}

// The latest programs stay, and so do recently used ones.
func TestSweep(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for name, age := range map[string]time.Duration{
		"a": 50 * time.Hour, "b": 49 * time.Hour, "c": 48 * time.Hour, "d": 30 * time.Minute, "e": 10 * time.Minute, "f": 0,
	} {
		dir := filepath.Join(cache, name)
		program := filepath.Join(dir, "temporal-devserver"+exeSuffix())
		used := time.Now().Add(-age)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(program, nil, 0o700), os.Chtimes(program, used, used)); err != nil {
			t.Fatal(err)
		}
	}
	remaining := func() string {
		t.Helper()
		if err := sweep(cache); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(cache)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, "")
	}
	if got := remaining(); got != "def" {
		t.Errorf("after the sweep %q remain, want the latest two, and the other of the last hour", got)
	}
	for _, name := range []string{"d", "e", "f"} {
		if err := os.RemoveAll(filepath.Join(cache, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := remaining(); got != "" {
		t.Errorf("%q remain of an empty cache", got)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	var s tail
	for range 1_000 {
		_, _ = io.WriteString(&s, "0123456789")
	}
	if got := s.String(); len(got) != 4<<10 || got[len(got)-1] != '9' {
		t.Errorf("tail of %d bytes that ends in %q, want the last 4 KiB", len(got), got[len(got)-1:])
	}
}
