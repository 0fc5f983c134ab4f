package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// rotateVariable turns the test's program into a child that writes to a sealed
// store, or reseals the store, until it is killed. The value of the variable is
// the role and the active key; childVariable contains the URL.
const rotateVariable = "LATCHKEY_POSTGRES_ROTATE"

const (
	oldKey, newKey = "2025", "2026"
	sealedEntries  = 40 // for each writer
)

func sealWith(active string, names ...string) store.SealOptions {
	o := store.SealOptions{IDKey: bytes.Repeat([]byte{1}, 32), Keys: make(map[string][]byte), Active: active}
	for _, name := range names {
		o.Keys[name] = bytes.Repeat([]byte(name), 8)
	}
	return o
}

// rotateChild prints a line for each write that it begins, for each
// acknowledged write, and for the number of entries that it has resealed.
func rotateChild(at, role string) error {
	ctx := context.Background()
	inner, err := store.Open(ctx, at)
	if err != nil {
		return err
	}
	what, active, _ := strings.Cut(role, " ")
	s, err := store.Seal(ctx, inner, sealWith(active, oldKey, newKey))
	if err != nil {
		return err
	}
	for what == "reseal" {
		n, err := s.Reseal(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("resealed all %d\n", n)
	}
	errs := make(chan error)
	for w := range childWriters {
		go func() {
			versions := make(map[string]store.Entry)
			for {
				id := fmt.Sprintf("sealed-%d-%d", w, rand.IntN(sealedEntries))
				e, known := versions[id]
				var err error
				if !known {
					e, err = s.Get(ctx, id)
				}
				if err == nil || errors.Is(err, store.ErrNotFound) {
					e, err = writeNext(ctx, s, id, e)
				}
				if errors.Is(err, store.ErrConflict) { // it was resealed
					delete(versions, id)
					continue
				}
				if err != nil {
					errs <- err
					return
				}
				versions[id] = e
			}
		}()
	}
	return <-errs
}

// writeNext writes the number that follows the one in e.
func writeNext(ctx context.Context, s store.Store, id string, e store.Entry) (store.Entry, error) {
	var n int
	_, _ = fmt.Sscan(string(e.Body), &n)
	n++
	fmt.Printf("begin %s %d\n", id, n)
	e = store.Entry{ID: id, Version: e.Version, Body: fmt.Append(nil, n), Due: at(1)}
	var err error
	if e.Version, err = s.Put(ctx, e); err == nil {
		fmt.Printf("wrote %s %d\n", id, n)
	}
	return e, err
}

// TestRotationBesideKills changes the key of a store while one process writes
// and another reseals, and kills both at random. Every acknowledged write is
// present, and in the end the new key alone opens all entries.
func TestRotationBesideKills(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	inner := open(t, p)
	s, err := store.Seal(t.Context(), inner.Store, sealWith(oldKey, oldKey, newKey))
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(map[string]int)
	resealed := 0
	for round := range 6 {
		active := oldKey
		if round > 1 { // by now all processes know the new key
			active = newKey
		}
		roles := []string{"write " + active}
		if round > 2 {
			roles = append(roles, "reseal "+newKey)
		}
		begun := make(map[string]int)
		type heard struct {
			what, id string
			n        int
		}
		all := make(chan heard)
		running := 0
		var kills []func() error
		var waits []func() error
		for _, role := range roles {
			cmd, lines := startChild(t, p, rotateVariable+"="+role)
			kills, waits = append(kills, cmd.Process.Kill), append(waits, cmd.Wait)
			running++
			go func() {
				for line := range lines {
					var h heard
					if _, err := fmt.Sscan(line, &h.what, &h.id, &h.n); err != nil {
						t.Errorf("the child said %q: %v", line, err)
					}
					all <- h
				}
				all <- heard{what: "end"}
			}()
		}
		for left := 100 + rand.IntN(300); running > 0; left-- {
			switch h := <-all; h.what {
			case "begin":
				begun[h.id] = h.n
			case "wrote":
				wrote[h.id] = h.n
			case "resealed":
				resealed += h.n
			case "end":
				running--
			}
			if left == 0 {
				for _, kill := range kills {
					if err := kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for _, wait := range waits {
			if err := wait(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("a child: got %v, want that it was killed", err)
			}
		}
		waitForNobody(t, p)
		for id, n := range begun {
			got, err := s.Get(t.Context(), id)
			if errors.Is(err, store.ErrNotFound) && wrote[id] == 0 {
				continue
			}
			if body := string(got.Body); err != nil || body != fmt.Sprint(wrote[id]) && body != fmt.Sprint(n) {
				t.Errorf("round %d: Get of %s: got write %q and %v, want %d, which was acknowledged, or %d, which was begun", round, id, body, err, wrote[id], n)
				continue
			}
			_, _ = fmt.Sscan(string(got.Body), &n)
			wrote[id] = n
		}
	}

	last, err := store.Seal(t.Context(), inner.Store, sealWith(newKey, oldKey, newKey))
	if err != nil {
		t.Fatal(err)
	}
	n, err := last.Reseal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	census, err := last.Census(t.Context())
	if err != nil || census[oldKey] != 0 || census[newKey] != len(wrote) {
		t.Errorf("Census after the rotation: got %v and %v, want %d entries of key %s and no others", census, err, len(wrote), newKey)
	}
	alone, err := store.Seal(t.Context(), inner.Store, sealWith(newKey, newKey))
	if err != nil {
		t.Fatal(err)
	}
	for id, n := range wrote {
		if got, err := alone.Get(t.Context(), id); err != nil || string(got.Body) != fmt.Sprint(n) {
			t.Errorf("Get of %s with the new key alone: got %q and %v, want %d", id, got.Body, err, n)
		}
	}
	t.Logf("%d entries; %d resealed beside kills, %d at the end", len(wrote), resealed, n)
	if len(wrote) == 0 || resealed+n == 0 {
		t.Error("nothing was written or resealed, so this shows nothing")
	}
}
