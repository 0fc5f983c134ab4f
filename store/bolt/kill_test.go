//go:build unix

package bolt

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/internal/rotation"
	"github.com/latchkey-go/latchkey/store"
)

// childVariable turns the test's program into a child. The value of
// childVariable is the kind, a colon, and the path of the file.
const childVariable = "LATCHKEY_BOLT_CHILD"

func TestMain(m *testing.M) {
	rotation.Main()
	kind, path, ok := strings.Cut(os.Getenv(childVariable), ":")
	if !ok {
		os.Exit(m.Run())
	}
	if err := childKinds[kind](path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var childKinds = map[string]func(path string) error{"writer": writerChild}

func child(t *testing.T, kind, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childVariable+"="+kind+":"+path)
	cmd.Stderr = t.Output()
	return cmd
}

// TestKill kills a writing process at random moments. Every acknowledged write must
// be present. Every other write must be fully present or absent.
func TestKill(t *testing.T) {
	rounds := 100
	if soaking() {
		rounds = 2_000
	}
	random := newRandom(t)
	var k *killed
	acked := 0
	for round := range rounds {
		if round%20 == 0 { // the creation of a file is interrupted too
			k = &killed{path: newPath(t), known: make(map[string]known)}
		}
		acked += k.round(t, random, round)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d rounds, %d writes acknowledged", rounds, acked)
	if acked < rounds/4 {
		t.Errorf("expected an acknowledged write in each fourth round at least, got %d in %d: this shows nothing", acked, rounds)
	}
}

// killed is the known state of a file whose writers are killed.
type killed struct {
	path  string
	known map[string]known
}

// known contains the children's reports about an entry. Writes are numbered; 0
// means that the entry is deleted.
type known struct {
	acked   uint64 // the last acknowledged write
	version uint64 // the last acknowledged version, from Put or Claim
	begun   uint64 // a write without a reported result
	unheard bool   // whether there is a write without a reported result
}

func (k *killed) round(t *testing.T, random *rand.Rand, round int) (acked int) {
	cmd := child(t, "writer", k.path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewReader(out)
	var said bytes.Buffer
	until := func(what string) {
		for heard := false; !heard; {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("the child ended before it said %q: %v", what, err)
			}
			said.WriteString(line)
			heard = strings.HasPrefix(line, what)
		}
	}
	if round%4 > 0 { // otherwise the child is killed at its start
		until("ready ")
	}
	if round%4 == 1 { // however slow the disk is
		until("ack ")
	}
	time.AfterFunc(time.Duration(random.Int64N(int64(40*time.Millisecond))), func() { _ = cmd.Process.Kill() })
	_, err = io.Copy(&said, lines) // reads until the child is dead
	must(t, err)
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("expected a child that was killed, got %v", err)
	}
	acked = k.heard(t, said.String())
	k.verify(t)
	return acked
}

// heard reads the lines that a child printed before it died.
func (k *killed) heard(t *testing.T, said string) (acked int) {
	t.Helper()
	for line := range strings.Lines(said) {
		var what, id string
		var n, version uint64
		if !strings.HasSuffix(line, "\n") {
			continue // the child died while it printed a line
		}
		if _, err := fmt.Sscan(line, &what, &id, &n, &version); err != nil {
			t.Fatalf("the child said %q: %v", line, err)
		}
		e := k.known[id]
		switch what {
		case "ready":
			continue
		case "begin":
			e.begun, e.unheard = n, true
		case "refused":
			e.unheard = false
		case "ack":
			e.acked, e.unheard = n, false
			e.version = max(e.version, version)
			acked++
		case "claimed":
			e.version = max(e.version, version)
			acked++
		default:
			t.Fatalf("the child said %q", line)
		}
		k.known[id] = e
	}
	return acked
}

// verify opens the file and compares the entries. From here on, the entries of
// the file are the known state.
func (k *killed) verify(t *testing.T) {
	t.Helper()
	s, err := Open(t.Context(), k.path, Options{})
	if err != nil {
		t.Errorf("Open after the kill: %v", err)
		return
	}
	defer func() { must(t, s.Close()) }()
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	for id, e := range k.known {
		got, err := s.Get(t.Context(), id)
		var n uint64
		if err == nil {
			if n = writeNumber(got.Body); n == 0 || !bytes.Equal(got.Body, writeBody(id, n)) {
				t.Errorf("%s: half of a write", id)
			}
		} else if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		switch {
		case e.unheard && n == e.begun:
		case n != e.acked:
			t.Errorf("%s: expected write %d, which was acknowledged, or %d (%v), which was begun, got %d", id, e.acked, e.begun, e.unheard, n)
		case n != 0 && got.Version < e.version:
			t.Errorf("%s: expected version %d, which was acknowledged, or a later one, got %d", id, e.version, got.Version)
		}
		k.known[id] = known{acked: n, version: e.version}
	}
}

// writeBody returns the body of an entry's nth write: the number, and bytes
// derived from it. The body is usually short and sometimes several pages long.
func writeBody(id string, n uint64) []byte {
	h := fnv.New64a()
	_, _ = io.WriteString(h, id)
	random := rand.New(rand.NewPCG(h.Sum64(), n))
	size := 8 + random.IntN(600)
	if random.IntN(20) == 0 {
		size += random.IntN(20_000)
	}
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b, n)
	for i := 8; i < len(b); i++ {
		b[i] = byte(random.Uint32())
	}
	return b
}

func writeNumber(body []byte) uint64 {
	if len(body) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(body)
}

const (
	childWriters = 6
	childIDs     = 20 // of each writer
)

// writerChild writes until it is killed. The child prints a line before and
// after each write.
func writerChild(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	say("ready", "-", 0, 0)
	var wg sync.WaitGroup
	errs := make(chan error, childWriters+1)
	for w := range childWriters {
		wg.Go(func() { errs <- writeForEver(ctx, s, w) })
	}
	wg.Go(func() { errs <- claimForEver(ctx, s) })
	return <-errs
}

func say(what, id string, n, version uint64) {
	_, _ = fmt.Fprintf(os.Stdout, "%s %s %d %d\n", what, id, n, version)
}

func writeForEver(ctx context.Context, s *Store, writer int) error {
	for n := uint64(time.Now().UnixNano()); ; n++ {
		id := fmt.Sprintf("%d-%d", writer, rand.IntN(childIDs))
		e, err := s.Get(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		there := err == nil
		version := e.Version
		if there && rand.IntN(4) == 0 {
			say("begin", id, 0, 0)
			if err = s.Delete(ctx, id, e.Version); err == nil {
				say("ack", id, 0, 0)
			}
		} else {
			say("begin", id, n, 0)
			e = store.Entry{ID: id, Version: version, Due: time.UnixMilli(1 + rand.Int64N(1000)), Body: writeBody(id, n)}
			if version, err = s.Put(ctx, e); err == nil {
				say("ack", id, n, version)
			}
		}
		switch {
		case errors.Is(err, store.ErrConflict): // claimed in between
			say("refused", id, 0, 0)
		case err != nil:
			return err
		}
	}
}

func claimForEver(ctx context.Context, s *Store) error {
	for {
		claimed, err := s.Claim(ctx, time.UnixMilli(1+rand.Int64N(500)), time.UnixMilli(501+rand.Int64N(500)), 5)
		if err != nil {
			return err
		}
		for _, e := range claimed {
			say("claimed", e.ID, 0, e.Version)
		}
	}
}

// TestKilledWhileCreating: if a process is killed while it creates a file, its
// remains disturb no later call.
func TestKilledWhileCreating(t *testing.T) {
	path := newPath(t)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(path), "latchkey.db.new-1"), []byte("half"), 0o600))
	s := open(t, path)
	put(t, s, store.Entry{ID: "a"})
}
