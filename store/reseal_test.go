package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCensus(t *testing.T) {
	s := NewMemory()
	mustPut(t, mustSeal(t, s, sealing("key-1")), Entry{ID: "a"})
	sealed := mustSeal(t, s, sealing("key-2", "key-1"))
	mustPut(t, sealed, Entry{ID: "b"})
	mustPut(t, sealed, Entry{ID: "c"})
	mustPut(t, s, Entry{ID: "plain", Body: []byte("not sealed")})
	census, err := sealed.Census(t.Context())
	if want := map[string]int{"": 1, "key-1": 1, "key-2": 2}; err != nil || fmt.Sprint(census) != fmt.Sprint(want) {
		t.Errorf("Census: got %v, %v, want %v", census, err, want)
	}
	n, err := sealed.Reseal(t.Context())
	if n != 1 || !errors.Is(err, ErrCorrupt) {
		t.Errorf("Reseal: got %d, %v, want the one with the old key, and ErrCorrupt of the one that isn't sealed", n, err)
	}
	if n, err := sealed.Count(t.Context()); n != 4 || err != nil {
		t.Errorf("Count: got %d, %v, want 4, without the canary", n, err)
	}
}

// dying is a store whose process dies after the given number of calls. The
// outcome of the last call is unknown.
type dying struct {
	Store
	mu   sync.Mutex
	left int
}

var errDied = errors.New("this process is dead")

func (d *dying) Put(ctx context.Context, e Entry) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 {
		return 0, errDied
	}
	version, err := d.Store.Put(ctx, e)
	if d.left == 0 {
		return 0, errDied // the process dies after the write
	}
	return version, err
}

// TestRotation changes keys while other callers write, and repeatedly kills the
// process that reseals. No entry is lost, and in the end the census shows no
// entry of the old key.
func TestRotation(t *testing.T) {
	s := NewMemory()
	old := mustSeal(t, s, sealing("key-1"))
	const entries = 300
	due := time.UnixMilli(5000).UTC()
	for i := range entries {
		mustPut(t, old, Entry{ID: fmt.Sprint("entry-", i), Due: due, Body: []byte("0")})
	}
	newest := mustSeal(t, s, sealing("key-2", "key-1"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // increments every third entry, as hubs write while keys change
		for round := 1; ; round++ {
			for i := 0; i < entries; i += 3 {
				select {
				case <-stop:
					return
				default:
				}
				e, err := newest.Get(t.Context(), fmt.Sprint("entry-", i))
				if err == nil {
					e.Body = fmt.Append(nil, round)
					_, err = newest.Put(t.Context(), e)
				}
				if err != nil && !errors.Is(err, ErrConflict) {
					t.Errorf("a write while Reseal runs: %v", err)
					return
				}
			}
		}
	})
	kills := 0
	for {
		resealer := mustSeal(t, &dying{Store: s, left: 1 + kills%17}, sealing("key-2", "key-1"))
		_, err := resealer.Reseal(t.Context())
		if err == nil {
			break
		}
		if !errors.Is(err, errDied) {
			t.Fatalf("Reseal: %v", err)
		}
		kills++
	}
	close(stop)
	wg.Wait()
	if kills < 5 {
		t.Errorf("Reseal died %d times, want it to meet some kills", kills)
	}
	census, err := newest.Census(t.Context())
	if err != nil || census["key-1"] != 0 || census["key-2"] != entries {
		t.Errorf("Census after Reseal: got %v, %v, want all %d under the new key", census, err, entries)
	}
	last := mustSeal(t, s, sealing("key-2")) // the old key is gone
	for i := range entries {
		e, err := last.Get(t.Context(), fmt.Sprint("entry-", i))
		if err != nil || !e.Due.Equal(due) || i%3 != 0 && string(e.Body) != "0" {
			t.Errorf("entry-%d after the rotation: got %q due %v, %v, want it as it was", i, e.Body, e.Due, err)
		}
	}
}

func TestCopy(t *testing.T) {
	src := NewMemory()
	for i := range 20 {
		mustPut(t, src, Entry{ID: fmt.Sprint("entry-", i), Due: time.UnixMilli(int64(1000 + i)), Body: fmt.Append(nil, i)})
	}
	dst := mustSeal(t, NewMemory(), sealing("key-1"))
	for range 2 { // Reseal can be repeated
		if n, err := Copy(t.Context(), dst, src); n != 20 || err != nil {
			t.Fatalf("Copy to a sealed store: got %d, %v, want 20", n, err)
		}
	}
	back := NewMemory()
	if n, err := Copy(t.Context(), back, dst); n != 20 || err != nil {
		t.Fatalf("Copy from a sealed store: got %d, %v, want 20 without the canary", n, err)
	}
	for want := range src.List(t.Context()) {
		got, err := back.Get(t.Context(), want.ID)
		if err != nil || !bytes.Equal(got.Body, want.Body) || !got.Due.Equal(want.Due) {
			t.Errorf("%s there and back: got %+v, %v, want %+v", want.ID, got, err, want)
		}
	}
	e, err := back.Get(t.Context(), "entry-7")
	if err != nil {
		t.Fatal(err)
	}
	e.Body = []byte("another")
	mustPut(t, back, e)
	if n, err := Copy(t.Context(), back, src); n != 19 || !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "entry-7") {
		t.Errorf("Copy over another entry: got %d, %v, want 19, and ErrExists that names it", n, err)
	}
}
