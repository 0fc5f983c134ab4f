package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// TestBytesAreCopied keeps returned bodies while entries are overwritten and
// the file grows. Bytes of a bbolt transaction would change.
func TestBytesAreCopied(t *testing.T) {
	s := openWith(t, newPath(t), Options{NoSyncForTests: true})
	const n = 50
	body := func(i, round int) []byte {
		return bytes.Repeat(fmt.Appendf(nil, "%d of %d. ", round, i), 20)
	}
	versions := make(map[string]uint64)
	for i := range n {
		e := put(t, s, store.Entry{ID: strconv.Itoa(i), Due: at(int64(i)), Body: body(i, 0)})
		versions[e.ID] = e.Version
	}
	var got, listed []store.Entry
	for i := range n {
		e, err := s.Get(t.Context(), strconv.Itoa(i))
		must(t, err)
		got = append(got, e)
	}
	for e, err := range s.List(t.Context()) {
		must(t, err)
		listed = append(listed, e)
	}
	claimed, err := s.Claim(t.Context(), at(n), at(2*n), n)
	must(t, err)
	for _, e := range claimed {
		versions[e.ID] = e.Version
	}
	for round := 1; round <= 20; round++ {
		for i := range n {
			id := strconv.Itoa(i)
			e := put(t, s, store.Entry{ID: id, Version: versions[id], Due: at(1000), Body: body(i, round)})
			versions[id] = e.Version
			put(t, s, store.Entry{ID: fmt.Sprintf("more-%d-%d", i, round), Body: body(i, round)})
		}
	}
	for op, entries := range map[string][]store.Entry{"Get": got, "List": listed, "Claim": claimed} {
		if len(entries) != n {
			t.Errorf("%s: expected %d entries, got %d", op, n, len(entries))
		}
		for _, e := range entries {
			i, _ := strconv.Atoi(e.ID)
			if !bytes.Equal(e.Body, body(i, 0)) {
				t.Errorf("%s: the body of %s changed after the call had returned", op, e.ID)
			}
		}
	}
	// After Put, the body belongs to the caller again.
	mine := []byte("before")
	put(t, s, store.Entry{ID: "mine", Body: mine})
	copy(mine, "after!")
	if e, err := s.Get(t.Context(), "mine"); err != nil || string(e.Body) != "before" {
		t.Errorf("expected the body that was put, got %q, %v", e.Body, err)
	}
}

func TestVersionsOutliveEntriesAndClose(t *testing.T) {
	path := newPath(t)
	seen := make(map[uint64]bool)
	for range 3 {
		s := open(t, path)
		for range 3 {
			e := put(t, s, store.Entry{ID: "a", Due: at(0)})
			claimed, err := s.Claim(t.Context(), at(0), at(1), 1)
			if err != nil || len(claimed) != 1 {
				t.Fatalf("Claim: %d entries, %v", len(claimed), err)
			}
			for _, v := range []uint64{e.Version, claimed[0].Version} {
				if seen[v] {
					t.Errorf("version %d was given twice", v)
				}
				seen[v] = true
			}
			must(t, s.Delete(t.Context(), "a", claimed[0].Version))
		}
		must(t, s.Close())
	}
}

// TestClaimStopsAtItsSize claims bodies that do not fit into one result.
func TestClaimStopsAtItsSize(t *testing.T) {
	s := openWith(t, newPath(t), Options{NoSyncForTests: true})
	for i := range 4 {
		put(t, s, store.Entry{ID: strconv.Itoa(i), Due: at(int64(i)), Body: make([]byte, store.MaxStored-i)})
	}
	for i := range 4 {
		claimed, err := s.Claim(t.Context(), at(10), at(20), 10)
		if err != nil || len(claimed) != 1 || claimed[0].ID != strconv.Itoa(i) {
			t.Fatalf("Claim %d: expected one entry, %d, got %d, %v", i, i, len(claimed), err)
		}
	}
	for i := range 100 {
		put(t, s, store.Entry{ID: fmt.Sprintf("small-%d", i), Due: at(0), Body: make([]byte, 100<<10)})
	}
	claimed, err := s.Claim(t.Context(), at(10), at(30), 1000)
	if want := store.MaxClaim / (100 << 10); err != nil || len(claimed) != want {
		t.Errorf("expected %d entries, 8 MiB, got %d, %v", want, len(claimed), err)
	}
}

// TestListAcrossPages writes between the pages of a list, and lists entries
// that are so large that each fills a page.
func TestListAcrossPages(t *testing.T) {
	s := openWith(t, newPath(t), Options{NoSyncForTests: true})
	want := make(map[string]bool)
	for i := range 3*pageEntries + 1 {
		id := fmt.Sprintf("stays-%04d", i)
		put(t, s, store.Entry{ID: id})
		want[id] = true
	}
	for i := range 3 {
		id := fmt.Sprintf("stays-%04d-large", i)
		put(t, s, store.Entry{ID: id, Body: make([]byte, pageBytes+1)})
		want[id] = true
	}
	if page, err := s.page(t.Context(), "stays-0000", pageEntries, pageBytes); err != nil || len(page.entries) != 1 {
		t.Errorf("expected a page of the one large entry, got %d, %v", len(page.entries), err)
	}
	goes := put(t, s, store.Entry{ID: "stays-0700-not"})
	n := 0
	for e, err := range s.List(t.Context()) {
		must(t, err)
		delete(want, e.ID)
		if n++; n%50 == 0 {
			put(t, s, store.Entry{ID: fmt.Sprintf("new-%d", n), Body: make([]byte, 10_000)})
		}
		if n == 10 {
			must(t, s.Delete(t.Context(), goes.ID, goes.Version))
		}
		if e.ID == goes.ID {
			t.Error("List yields an entry that was deleted two pages before")
		}
	}
	if len(want) > 0 {
		t.Errorf("List leaves out %d entries that were there throughout", len(want))
	}

	n = 0
	var last error
	for _, err := range s.List(t.Context()) {
		if last = err; err != nil {
			break
		}
		n++
		must(t, s.Close()) // closes the store in the middle of a page
	}
	if n != 1 || !errors.Is(last, store.ErrClosed) {
		t.Errorf("List that goes on after Close: expected one entry and then ErrClosed, got %d and %v", n, last)
	}
}

func TestListGoesOnBehindDamage(t *testing.T) {
	s := open(t, newPath(t))
	for i := range 5 {
		put(t, s, store.Entry{ID: strconv.Itoa(i), Body: []byte("body")})
	}
	damage(t, s, "3")
	var ids []string
	var damage error
	for e, err := range s.List(t.Context()) {
		if err == nil {
			ids = append(ids, e.ID)
		} else {
			damage = err
		}
	}
	if !slices.Equal(ids, []string{"0", "1", "2", "4"}) || !errors.Is(damage, store.ErrCorrupt) {
		t.Errorf("expected all but 3, and ErrCorrupt, got %v and %v", ids, damage)
	}
}

// TestReadersAndWriters makes all kinds of calls from many goroutines, on a
// file that outgrows its memory map several times. No call may hang, and the
// sum of the amounts that the calls move between entries stays the same.
func TestReadersAndWriters(t *testing.T) {
	s := openWith(t, newPath(t), Options{NoSyncForTests: true})
	const writers, writes = 8, 60
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			e := store.Entry{ID: fmt.Sprintf("counter-%d", w)}
			for i := range writes {
				e.Body = bytes.Repeat([]byte{byte(i)}, 1+i*200)
				e.Due = at(int64(i))
				version, err := s.Put(t.Context(), e)
				if err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				e.Version = version
			}
		})
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for e, err := range s.List(t.Context()) {
					if err != nil {
						t.Errorf("List: %v", err)
					} else if i := int(e.Body[0]); len(e.Body) != 1+i*200 {
						t.Errorf("%s: a body half of one write and half of another", e.ID)
					}
				}
				if err := s.Check(t.Context()); err != nil {
					t.Errorf("Check: %v", err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
}
