package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// childVariable turns the test's program into a child that writes and claims
// until it is killed. The variable contains the URL of the store.
const childVariable = "LATCHKEY_POSTGRES_CHILD"

const (
	childWriters = 3
	toClaim      = 200
)

// child prints a line for each write that it begins, and one for each
// acknowledged call: the number of a write, or the version of a claim.
func child(at string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, at)
	if err != nil {
		return err
	}
	errs := make(chan error)
	for w := range childWriters {
		go func() { errs <- writeForEver(ctx, s, fmt.Sprintf("written-%d", w)) }()
	}
	go func() {
		for {
			claimed, err := s.Claim(ctx, claimNow, claimUntil, 3)
			for _, e := range claimed {
				fmt.Printf("claimed %s %d\n", e.ID, e.Version)
			}
			if err != nil {
				errs <- err
				return
			}
		}
	}()
	return <-errs
}

var claimNow, claimUntil = at(1_000), at(1_000_000)

func writeForEver(ctx context.Context, s store.Store, id string) error {
	e, err := s.Get(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var n int
	_, _ = fmt.Sscan(string(e.Body), &n)
	for {
		n++
		fmt.Printf("begin %s %d\n", id, n)
		e = store.Entry{ID: id, Version: e.Version, Body: fmt.Append(nil, n)}
		if e.Version, err = s.Put(ctx, e); err != nil {
			return err
		}
		fmt.Printf("wrote %s %d\n", id, n)
	}
}

// TestKilledBesideAnother runs two processes on one store and kills one of
// them. The acknowledged writes of the killed process are present. The claims
// of the killed process belong to no other process until they expire, and then
// they are due again.
func TestKilledBesideAnother(t *testing.T) {
	t.Parallel()
	here := open(t, newPlace(t))
	begun, wrote := make(map[string]int), make(map[string]int)
	const rounds = 8
	byChild, byUs := 0, 0
	for round := range rounds {
		var all []store.Entry
		for i := range toClaim {
			all = append(all, put(t, here, store.Entry{ID: fmt.Sprintf("claimed-%d-%d", round, i), Due: at(int64(i)), Body: []byte("body")}))
		}
		cmd, lines := startChild(t, here.place)
		claimed := make(map[string]uint64) // by the child
		left := 1 + rand.IntN(60)          // number of lines to read before the child is killed
		var ours []store.Entry
		var claiming sync.WaitGroup
		begin, stop := sync.Once{}, make(chan struct{})
		for line := range lines {
			var what, id string
			var n uint64
			if _, err := fmt.Sscan(line, &what, &id, &n); err != nil {
				t.Fatalf("the child said %q: %v", line, err)
			}
			switch what {
			case "begin":
				begun[id] = int(n)
			case "wrote":
				wrote[id] = int(n)
			case "claimed":
				claimed[id] = n
			}
			if round%2 == 0 || len(claimed) > 0 { // on a busy machine, a child may write many times before its first claim
				left--
			}
			if left == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if what == "claimed" { // both processes claim from here on
				begin.Do(func() {
					claiming.Go(func() { ours = claimUntilStopped(t, here, stop) })
				})
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the child: got %v, want that it was killed", err)
		}
		close(stop)
		claiming.Wait()
		waitForNobody(t, here.place)

		for id, n := range begun {
			got, err := here.Get(t.Context(), id)
			if errors.Is(err, store.ErrNotFound) && wrote[id] == 0 {
				continue
			}
			if err != nil {
				t.Errorf("Get of %s, acknowledged up to write %d: got %v, want the entry", id, wrote[id], err)
			} else if body := string(got.Body); body != fmt.Sprint(wrote[id]) && body != fmt.Sprint(n) {
				t.Errorf("Get of %s: got write %s, want %d, which was acknowledged, or %d, which was begun", id, body, wrote[id], n)
			} else {
				_, _ = fmt.Sscan(body, &n)
				begun[id], wrote[id] = n, n
			}
		}
		for _, e := range ours {
			if _, twice := claimed[e.ID]; twice {
				t.Errorf("claims of %s: got it in both processes, want it in one", e.ID)
			}
		}
		for id, version := range claimed {
			got, err := here.Get(t.Context(), id)
			if err != nil || got.Version != version || !got.Due.Equal(claimUntil) {
				t.Errorf("Get of %s, claimed at version %d: got version %d due %v and %v, want it due %v", id, version, got.Version, got.Due, err, claimUntil)
			}
		}
		byChild, byUs = byChild+len(claimed), byUs+len(ours)

		// All claimed entries become due again, including those whose claim was
		// not reported.
		back := make(map[string]int)
		for got := claim(t, here, 50); len(got) > 0; got = claim(t, here, 50) {
		}
		for {
			got, err := here.Claim(t.Context(), claimUntil, claimUntil.Add(time.Hour), 50)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 {
				break
			}
			for _, e := range got {
				back[e.ID]++
				if err := here.Delete(t.Context(), e.ID, e.Version); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, e := range all {
			if back[e.ID] != 1 {
				t.Errorf("claims when those before have lapsed: got %s %d times, want once", e.ID, back[e.ID])
			}
		}
	}
	t.Logf("%d rounds: %d entries heard to be claimed by the child, %d by the one that lives", rounds, byChild, byUs)
	if byChild == 0 || byUs == 0 {
		t.Errorf("claims: got %d by the child and %d by the other, want some of each: this shows nothing", byChild, byUs)
	}
}

func claimUntilStopped(t *testing.T, s store.Store, stop <-chan struct{}) (all []store.Entry) {
	for {
		got, err := s.Claim(t.Context(), claimNow, claimUntil, 1)
		if err != nil {
			t.Errorf("Claim beside another process: got %v, want nil", err)
		}
		all = append(all, got...)
		select {
		case <-stop:
			return all
		default:
		}
		if len(got) == 0 {
			return all
		}
	}
}

func claim(t *testing.T, s store.Store, n int) []store.Entry {
	t.Helper()
	got, err := s.Claim(t.Context(), claimNow, claimUntil, n)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// startChild returns a child, and the lines that it prints until it is dead.
// startChild leaves out an incomplete last line.
func startChild(t *testing.T, p place) (*osexec.Cmd, <-chan string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childVariable+"="+p.with("&application_name="+p.schema))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				_, _ = io.Copy(io.Discard, out)
				return
			}
			lines <- line
		}
	}()
	return cmd, lines
}

// waitForNobody waits until the server has noticed that the child is dead.
// Before that, a statement of the child may still be running.
func waitForNobody(t *testing.T, p place) {
	t.Helper()
	for conn, gone := connect(t, p), false; !gone; {
		if err := conn.QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)`,
			p.schema).Scan(&gone); err != nil {
			t.Fatal(err)
		}
	}
}
