// Package rotation tests that the key of a sealed store can be changed while
// processes use the store and are killed. Each backend runs the same test. The
// processes are this test's program, so TestMain of the backend's tests must
// call Main.
package rotation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

const (
	oldKey, newKey = "2025", "2026"
	unwritten      = 120 // number of entries that only Reseal writes

	// Before resealRound, all processes use the old key. From resealRound on, a
	// process reseals. From activeRound on, the new key is active in all
	// processes.
	resealRound = 1
	activeRound = 3
	rounds      = 6
)

// Test describes the processes of a backend.
type Test struct {
	// URL is the URL of an empty store. Required.
	URL string

	// Alone means that one process writes and reseals, because the backend
	// admits only one process. Otherwise one process writes and another one
	// reseals.
	Alone bool

	// Quiet returns when no call of a killed process has an effect any more.
	// Defaults to returning at once.
	Quiet func(t *testing.T)
}

// sealWith returns options with these keys.
func sealWith(active string, names ...string) store.SealOptions {
	o := store.SealOptions{IDKey: bytes.Repeat([]byte{1}, 32), Keys: make(map[string][]byte), Active: active}
	for _, name := range names {
		o.Keys[name] = bytes.Repeat([]byte(name), 8)
	}
	return o
}

// history is what is known about the entries.
type history struct {
	wrote    map[string]int // by ID, the last write that was acknowledged
	resealed int            // number of entries that were resealed before a kill
}

// Run changes the key of the store while processes write and reseal, and kills
// the processes at random. Run checks that each acknowledged write is present,
// that processes have resealed entries before they were killed, and that in the
// end the new key alone opens all entries.
func (x Test) Run(t *testing.T) {
	t.Helper()
	if x.Quiet == nil {
		x.Quiet = func(*testing.T) {}
	}
	h := history{wrote: make(map[string]int)}
	x.open(t, sealWith(oldKey, oldKey), func(s *store.Sealed) {
		var puts sync.WaitGroup // at once, because some stores group commits
		for i := range unwritten {
			id := fmt.Sprintf("unwritten-%d", i)
			h.wrote[id] = 1
			puts.Go(func() {
				if _, err := s.Put(t.Context(), store.Entry{ID: id, Body: []byte("1")}); err != nil {
					t.Errorf("Put of %s: got %v, want nil", id, err)
				}
			})
		}
		puts.Wait()
	})
	for round := range rounds {
		active := newKey
		if round < activeRound {
			active = oldKey
		}
		roles := []string{"write " + active, "reseal " + newKey}
		switch {
		case round < resealRound:
			roles = roles[:1]
		case x.Alone:
			roles = []string{"both " + active}
		}
		begun := x.killed(t, &h, roles)
		x.Quiet(t)
		x.open(t, sealWith(oldKey, oldKey, newKey), func(s *store.Sealed) { h.check(t, s, begun) })
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	x.finish(t, h)
}

// open opens the sealed store while f runs.
func (x Test) open(t *testing.T, o store.SealOptions, f func(s *store.Sealed)) {
	t.Helper()
	inner, err := store.Open(t.Context(), x.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := inner.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	s, err := store.Seal(t.Context(), inner, o)
	if err != nil {
		t.Fatal(err)
	}
	f(s)
}

// killed runs processes until they are killed. killed returns, for each entry,
// the last write that a process has begun.
func (x Test) killed(t *testing.T, h *history, roles []string) (begun map[string]int) {
	t.Helper()
	begun = make(map[string]int)
	all := make(chan said)
	var children []*child
	for _, role := range roles {
		children = append(children, start(t, x.URL, role, all))
	}
	lines, resealed := 100+rand.IntN(200), 1+rand.IntN(unwritten/rounds) // that are read before the kill
	passed := len(roles) == 1 && strings.HasPrefix(roles[0], "write")    // a process has resealed everything, or none reseals
	for running := len(children); running > 0; {
		line := <-all
		lines--
		switch line.what {
		case "begin":
			if line.n <= h.wrote[line.id] {
				t.Errorf("a process read write %d of %s, want %d, which was acknowledged", line.n-1, line.id, h.wrote[line.id])
			}
			begun[line.id] = line.n
		case "wrote":
			h.wrote[line.id] = line.n
		case "resealed":
			h.resealed++
			if len(begun) > 0 { // both processes are at work
				resealed--
			}
		case "passed":
			passed = true
		case "end":
			running--
			continue
		}
		if resealed <= 0 || passed && lines <= 0 {
			for _, c := range children {
				c.kill()
			}
		}
	}
	for _, c := range children {
		if err := c.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("a process: got %v, want that it was killed", err)
		}
	}
	return begun
}

// check compares the store with the writes of the processes. From here on, the
// entries of the store are the known state.
func (h *history) check(t *testing.T, s *store.Sealed, begun map[string]int) {
	t.Helper()
	for id, n := range begun {
		got, err := s.Get(t.Context(), id)
		if errors.Is(err, store.ErrNotFound) && h.wrote[id] == 0 {
			continue
		}
		if body := string(got.Body); err != nil || body != fmt.Sprint(h.wrote[id]) && body != fmt.Sprint(n) {
			t.Errorf("Get of %s: got write %q and %v, want %d, which was acknowledged, or %d, which was begun", id, body, err, h.wrote[id], n)
			continue
		}
		_, _ = fmt.Sscan(string(got.Body), &n)
		h.wrote[id] = n
	}
}

// finish reseals the rest and removes the old key.
func (x Test) finish(t *testing.T, h history) {
	t.Helper()
	rest := 0
	x.open(t, sealWith(newKey, oldKey, newKey), func(s *store.Sealed) {
		var err error
		if rest, err = s.Reseal(t.Context()); err != nil {
			t.Fatalf("Reseal after the kills: got %v, want nil", err)
		}
		census, err := s.Census(t.Context())
		if err != nil || len(census) != 1 || census[newKey] != len(h.wrote) {
			t.Errorf("Census after the rotation: got %v and %v, want %d entries of key %s and no others", census, err, len(h.wrote), newKey)
		}
	})
	x.open(t, sealWith(newKey, newKey), func(s *store.Sealed) {
		for id, n := range h.wrote {
			if got, err := s.Get(t.Context(), id); err != nil || string(got.Body) != fmt.Sprint(n) {
				t.Errorf("Get of %s with the new key alone: got %q and %v, want %d", id, got.Body, err, n)
			}
		}
	})
	t.Logf("%d entries; %d resealed before kills, %d at the end", len(h.wrote), h.resealed, rest)
	if len(h.wrote) == unwritten || h.resealed == 0 {
		t.Errorf("got %d entries written and %d resealed by processes that were killed, want some of each: this shows nothing", len(h.wrote)-unwritten, h.resealed)
	}
}

// Main runs a process of the test and ends the program, if the environment says
// so. Call Main at the beginning of TestMain.
func Main() {
	url, ok := os.LookupEnv(urlVariable)
	if !ok {
		return
	}
	what, active, _ := strings.Cut(os.Getenv(roleVariable), " ")
	fmt.Fprintln(os.Stderr, run(context.Background(), url, what, active))
	os.Exit(1)
}
