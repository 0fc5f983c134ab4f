package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// roleVariable turns this test's program into a claimer on the store that the
// variable names.
const roleVariable = "LATCHKEY_TEST_CLAIMER"

// runRole makes a claim for each line that it reads, and prints the claimed
// entries.
func runRole(url string) int {
	ctx := context.Background()
	s, err := store.Open(ctx, url)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer s.Close()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println("done") {
		var first, last, length, n int
		if _, err := fmt.Sscan(in.Text(), &first, &last, &length, &n); err != nil {
			fmt.Println(err)
			return 1
		}
		for now := first; now <= last; {
			claimed, err := s.Claim(ctx, at(now), at(now+length), n)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			for _, e := range claimed {
				fmt.Printf("%s at %d\n", e.ID, e.Version)
			}
			if len(claimed) == 0 {
				now++
			}
		}
	}
	return 0
}

// claimer is a process that makes claims.
type claimer struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func startClaimer(t *testing.T, url string) *claimer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &claimer{t: t, cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+url)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

func (c *claimer) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// claim makes the process drain the store once for each time from first to
// last, with claims of the given length. claim returns each entry's ID and
// version.
func (c *claimer) claim(first, last, length, n int) []string {
	fmt.Fprintln(c.in, first, last, length, n)
	var claimed []string
	for c.out.Scan() {
		switch line := c.out.Text(); {
		case line == "done":
			return claimed
		case !strings.Contains(line, " at "):
			c.t.Errorf("a claiming process: %s", line)
			return nil
		default:
			claimed = append(claimed, line)
		}
	}
	c.t.Error("a claiming process ended in the middle")
	return nil
}

func TestFourProcesses(t *testing.T) {
	t.Parallel()
	const processes, entries = 4, 200
	rounds := 10
	if soak() {
		rounds = 500
	}
	server := startServer(t)
	url := "redis://" + server.addr + "?" + stallInURL
	s := openStore(t, server.client(t), redis.Options{})
	for i := range entries {
		mustPut(t, s, store.Entry{ID: fmt.Sprintf("entry-%d", i), Due: at(0)})
	}
	var fleet []*claimer
	for range processes {
		fleet = append(fleet, startClaimer(t, url))
	}

	// Each process goes through the same times as fast as it can, so that the
	// claims of slow processes expire.
	var mu sync.Mutex
	by := make(map[string]int)
	var wg sync.WaitGroup
	for i, c := range fleet {
		wg.Go(func() {
			claimed := c.claim(1, rounds, 1, 16)
			mu.Lock()
			defer mu.Unlock()
			for _, version := range claimed {
				if other, taken := by[version]; taken {
					t.Errorf("%s: claimed by processes %d and %d, want one", version, other, i)
				}
				by[version] = i
			}
		})
	}
	wg.Wait()
	if len(by) < entries {
		t.Errorf("claimed: got %d versions, want at least one of each of %d entries", len(by), entries)
	}
	took := make(map[int]int)
	for _, i := range by {
		took[i]++
	}
	t.Logf("versions claimed by each process: %v", took)

	// One process takes all entries and is killed.
	const later, length = 1_000_000, 1000
	taken := fleet[0].claim(later, later, length, 64)
	if len(taken) != entries {
		t.Fatalf("claimed by one process: got %d entries, want %d", len(taken), entries)
	}
	fleet[0].kill()
	if early := fleet[1].claim(later+length-1, later+length-1, 1, 64); len(early) != 0 {
		t.Errorf("claimed before the claims of the process that was killed have lapsed: got %d entries, want none", len(early))
	}
	passed := make(map[string]bool)
	for _, c := range fleet[1:] {
		wg.Go(func() {
			claimed := c.claim(later+length, later+length, length, 8)
			mu.Lock()
			defer mu.Unlock()
			for _, version := range claimed {
				id, _, _ := strings.Cut(version, " ")
				passed[id] = true
				if _, before := by[version]; before {
					t.Errorf("%s: claimed again, want a new version", version)
				}
			}
		})
	}
	wg.Wait()
	if len(passed) != entries {
		t.Errorf("passed on when the claims have lapsed: got %d entries, want %d", len(passed), entries)
	}
}
