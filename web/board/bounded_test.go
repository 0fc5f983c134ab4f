package board_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// A page is bounded, however many entries a filter matches or misses: it looks
// at 10,000 entries at most, and says where to continue.
func TestBounded(t *testing.T) {
	r := newRig(t)
	_, id := r.entry(nil)
	one, err := r.store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	const entries = 25_000
	for n := range entries {
		e := store.Entry{ID: fmt.Sprintf("%s%022d", id[:len(id)-22], n), Due: time.Now().Add(time.Hour), Body: one.Body}
		if _, err := r.store.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/waiting", "/all", "/waiting?type=approve"} {
		if a := r.get(path); len(a.Entries) != 50 || a.Next == "" || a.Looked > 10_000 {
			t.Errorf("%s: %d entries, %d looked at, next %q", path, len(a.Entries), a.Looked, a.Next)
		}
	}
	for _, path := range []string{"/", "/all?type=none", "/all?class=none", "/settled"} {
		looked, pages, after := 0, 0, ""
		for {
			sep := "?"
			if len(path) > 5 && path[4] == '?' {
				sep = "&"
			}
			a := r.get(path + sep + "after=" + after)
			if a.status != 200 || len(a.Entries) != 0 || a.Looked > 10_000 {
				t.Fatalf("%s: %d with %d entries, %d looked at", path, a.status, len(a.Entries), a.Looked)
			}
			looked, pages, after = looked+a.Looked, pages+1, a.Next
			if after == "" {
				break
			}
		}
		if looked != entries+1 || pages < 3 {
			t.Errorf("%s: %d entries looked at on %d pages, want %d on 3 or more", path, looked, pages, entries+1)
		}
	}
	r.page("/all?type=none").wantPage(t, "a page with nothing yet", 200, "None so far", "Look further")
}

// slow is a store in which reading a page takes the given time.
type slow struct {
	store.Store
	page time.Duration
}

func (s slow) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	time.Sleep(s.page)
	return s.Store.(store.Pager).Page(ctx, after, n)
}

// A page of the board is ready within 120 ms if the store is slow, unless a single
// call takes longer.
func TestBoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := store.NewMemory()
		r := newRigOn(t, memory)
		_, id := r.entry(nil)
		one, err := memory.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 10_000 {
			if _, err := memory.Put(t.Context(), store.Entry{ID: fmt.Sprintf("%s%022d", id[:len(id)-22], n), Body: one.Body}); err != nil {
				t.Fatal(err)
			}
		}
		const ms = time.Millisecond
		for call, most := range map[time.Duration]time.Duration{20 * ms: 120 * ms, 50 * ms: 120 * ms, 70 * ms: 120 * ms, 400 * ms: 400 * ms} {
			r := newRigOn(t, slow{memory, call})
			begun := time.Now()
			a := r.get("/settled")
			if took := time.Since(begun); took > most || a.Looked == 0 || a.Next == "" {
				t.Errorf("with %v for a call the page took %v and looked at %d entries, want at most %v and some", call, took, a.Looked, most)
			}
		}
	})
}
