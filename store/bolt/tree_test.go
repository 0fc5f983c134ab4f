package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/bolt/internal/pages"
)

// image is the content of a file that the test damages.
type image []byte

func (b image) page(id int) []byte {
	size := os.Getpagesize()
	return b[id*size : (id+1)*size]
}

// each calls fn for the pages of a kind, including free pages. Damage to any of
// them must be tested, and it is hard to know which are free.
func (b image) each(kind uint16, fn func(id int, page []byte)) {
	for id := 2; id < len(b)/os.Getpagesize(); id++ {
		p := b.page(id)
		if binary.NativeEndian.Uint64(p) == uint64(id) && pages.Flags(p) == kind {
			fn(id, p)
		}
	}
}

// eachSecond calls fn for the second leaf of every branch, and for that branch.
// Open does not read that leaf.
func (b image) eachSecond(fn func(id int, leaf, branch []byte)) {
	b.each(pages.BranchPage, func(_ int, branch []byte) {
		id := int(binary.NativeEndian.Uint64(branch[pages.HeaderSize+pages.ElementSize+8:]))
		if leaf := b.page(id); pages.Flags(leaf) == pages.LeafPage {
			fn(id, leaf, branch)
		}
	})
}

func setChild(page []byte, i int, child uint64) {
	binary.NativeEndian.PutUint64(page[pages.HeaderSize+i*pages.ElementSize+8:], child)
}

func child0(page []byte) uint64 { return binary.NativeEndian.Uint64(page[pages.HeaderSize+8:]) }

// branchKey returns the position of the key of a branch element.
func branchKey(page []byte, i int) []byte {
	at := pages.HeaderSize + i*pages.ElementSize
	pos := at + int(binary.NativeEndian.Uint32(page[at:]))
	return page[pos : pos+int(binary.NativeEndian.Uint32(page[at+4:]))]
}

// TestDamagedTree damages the parts that Open checks. The first two kinds of
// damage would end the process if bbolt met them, and the third kind would lose
// data silently.
func TestDamagedTree(t *testing.T) {
	content, _ := sample(t)
	for name, c := range map[string]struct {
		damage func(b image)
		says   string
	}{
		"circle": {func(b image) {
			b.each(pages.BranchPage, func(id int, p []byte) {
				for i := range pages.Count(p) {
					setChild(p, i, uint64(id))
				}
			})
		}, "circle"},
		"endless free list": {func(b image) {
			b.each(pages.FreelistPage, func(_ int, p []byte) {
				binary.NativeEndian.PutUint16(p[10:], 0xffff)
				binary.NativeEndian.PutUint64(p[pages.HeaderSize:], 1<<40)
			})
		}, "free pages"},
		"free and in use": {func(b image) {
			b.each(pages.FreelistPage, func(_ int, p []byte) {
				binary.NativeEndian.PutUint16(p[10:], 1)
				binary.NativeEndian.PutUint64(p[pages.HeaderSize:], layoutOf(t, content).Root)
			})
		}, "both free and in use"},
		"free twice": {func(b image) {
			b.each(pages.FreelistPage, func(_ int, p []byte) {
				binary.NativeEndian.PutUint16(p[10:], 2)
				binary.NativeEndian.PutUint64(p[pages.HeaderSize:], 5)
				binary.NativeEndian.PutUint64(p[pages.HeaderSize+8:], 5)
			})
		}, "free pages"},
		"in use twice": {func(b image) {
			b.each(pages.BranchPage, func(_ int, p []byte) { setChild(p, 1, child0(p)) })
		}, "in use twice"},
		"far away": {func(b image) {
			b.each(pages.BranchPage, func(_ int, p []byte) { setChild(p, 1, 1<<50) })
		}, "isn't there"},
		"branches out of order": {func(b image) {
			b.each(pages.BranchPage, func(_ int, p []byte) { branchKey(p, 1)[0] = 0xff })
		}, "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), damaged(t, content, c.damage), Options{})
			wantSays(t, err, c.says)
		})
	}
}

// TestCheckFindsPages damages parts that only Check reads.
func TestCheckFindsPages(t *testing.T) {
	content, _ := sample(t)
	for name, c := range map[string]struct {
		damage func(b image)
		says   string
	}{
		"overflow": {func(b image) {
			b.eachSecond(func(_ int, leaf, _ []byte) { binary.NativeEndian.PutUint32(leaf[12:], 1<<24) })
		}, "damaged header"},
		"number": {func(b image) {
			b.eachSecond(func(id int, leaf, _ []byte) { binary.NativeEndian.PutUint64(leaf, uint64(id+1)) })
		}, "damaged header"},
		"kind": {func(b image) {
			b.eachSecond(func(_ int, leaf, _ []byte) { binary.NativeEndian.PutUint16(leaf[8:], pages.FreelistPage) })
		}, "damaged header"},
		"element's place": {func(b image) {
			b.eachSecond(func(_ int, leaf, _ []byte) { binary.NativeEndian.PutUint32(leaf[pages.HeaderSize+4:], 1<<20) })
		}, "damaged element"},
		"element's kind": {func(b image) {
			b.eachSecond(func(_ int, leaf, _ []byte) {
				binary.NativeEndian.PutUint32(leaf[pages.HeaderSize:], pages.BucketElement)
			})
		}, "damaged element"},
		// The key is lower than it should be. All entries are still found, but
		// bbolt would not find the leaf's place in the branch when it writes
		// the leaf again.
		"key that leads to it": {func(b image) {
			b.eachSecond(func(_ int, _, branch []byte) {
				key := branchKey(branch, 1)
				key[len(key)-1]--
			})
		}, "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), damaged(t, content, c.damage), Options{})
			must(t, err)
			wantSays(t, s.Check(t.Context()), c.says)
			must(t, s.Close())
		})
	}
}

// TestClaimPassesOverAFault: a page of entries refers to a place beyond the end
// of the memory map. The entries of the damaged page cannot be claimed, and all
// others can.
func TestClaimPassesOverAFault(t *testing.T) {
	content, entries := sample(t)
	path := damaged(t, content, func(b image) {
		b.eachSecond(func(_ int, leaf, branch []byte) {
			if !bytes.HasPrefix(branchKey(branch, 1), []byte("entry")) {
				return // the index
			}
			for i := range pages.Count(leaf) {
				binary.NativeEndian.PutUint32(leaf[pages.HeaderSize+i*pages.ElementSize+4:], 1<<31)
			}
		})
	})
	s, err := Open(t.Context(), path, Options{NoSyncForTests: true})
	must(t, err)
	claimed, err := s.Claim(t.Context(), at(1000), at(2000), 1000)
	if err != nil || len(claimed) < len(entries)/2 || len(claimed) == len(entries) {
		t.Errorf("expected most of the %d entries, got %d, %v", len(entries), len(claimed), err)
	}
	for _, e := range claimed {
		delete(entries, e.ID)
	}
	for id := range entries {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s wasn't claimed: expected Get to say ErrCorrupt, got %v", id, err)
		}
	}
	must(t, s.Close())
}

// damaged creates a file of the content, and then damages it.
func damaged(t *testing.T, content []byte, damage func(b image)) (path string) {
	t.Helper()
	b := image(bytes.Clone(content))
	damage(b)
	path = filepath.Join(t.TempDir(), "damaged.db")
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

func wantSays(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "damaged.db") {
		t.Errorf("expected ErrCorrupt with the path and %q, got %v", says, err)
	}
}
