package bolt

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/latchkey-go/latchkey/store"
)

// dirtyPages asks the kernel how many pages of a file are in its cache and not
// on the disk yet.
func dirtyPages(t *testing.T, f *os.File) uint64 {
	t.Helper()
	const cachestat = 451 // the same number on all architectures, since Linux 6.5
	span := [2]uint64{}   // offset and length: the whole file
	var stat struct{ cached, dirty, writeback, evicted, recentlyEvicted uint64 }
	_, _, errno := syscall.Syscall6(cachestat, f.Fd(), uintptr(unsafe.Pointer(&span)), uintptr(unsafe.Pointer(&stat)), 0, 0, 0)
	if errno != 0 {
		t.Skipf("this kernel doesn't tell: %v", errno)
	}
	return stat.dirty + stat.writeback
}

// TestAckIsOnDisk: when a write is acknowledged, all bytes of the file are on
// the disk. A test that kills a process cannot show that the bytes are on the
// disk, because the kernel's cache survives. The test checks each write of a
// single writer, and the last write of many concurrent writers.
func TestAckIsOnDisk(t *testing.T) {
	var fs syscall.Statfs_t
	must(t, syscall.Statfs(t.TempDir(), &fs))
	const tmpfs = 0x01021994
	if int64(fs.Type) == tmpfs {
		t.Skip("the directory for temporary files is in memory: there is no disk to be written to")
	}
	for _, o := range []Options{{}, {NoSyncForTests: true}} {
		s := openWith(t, newPath(t), o)
		dirty := uint64(0)
		look := func() { dirty += dirtyPages(t, s.file) }
		for i := range 20 {
			e := put(t, s, store.Entry{ID: fmt.Sprintf("a-%d", i), Due: at(0), Body: make([]byte, 10_000)})
			look()
			if i%2 == 0 {
				must(t, s.Delete(t.Context(), e.ID, e.Version))
				look()
			}
			if claimed, err := s.Claim(t.Context(), at(0), at(1000), 10); err != nil || len(claimed) != i%2 {
				t.Fatalf("Claim: expected %d entries, got %d, %v", i%2, len(claimed), err)
			}
			look()
		}
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := range 5 {
					if _, err := s.Put(t.Context(), store.Entry{ID: fmt.Sprintf("%d-%d", w, i)}); err != nil {
						t.Errorf("Put: %v", err)
					}
				}
			})
		}
		wg.Wait()
		look()
		switch {
		case !o.NoSyncForTests && dirty > 0:
			t.Errorf("expected every acknowledged write to be on the disk, and saw %d pages that weren't", dirty)
		case o.NoSyncForTests && dirty == 0:
			t.Error("expected a store that doesn't sync to be seen not to, and it wasn't: this test shows nothing")
		}
	}
}
