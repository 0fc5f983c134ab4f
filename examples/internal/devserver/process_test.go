package devserver

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
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
	for i := range services[:len(services)-1] { // the worker doesn't run
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

// The program changes with what it is made of.
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
