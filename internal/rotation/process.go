package rotation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// urlVariable turns the test's program into a process that uses the store with
// this URL until the process is killed. roleVariable contains the role, and the
// key with which the process seals its writes. Reseal always uses the new key.
const (
	urlVariable  = "LATCHKEY_ROTATION_URL"
	roleVariable = "LATCHKEY_ROTATION_ROLE"
)

const (
	writers = 3
	written = 10 // number of entries of each writer
)

// said is a line that a process has printed, or its end.
type said struct {
	what, id string
	n        int
}

type child struct {
	cmd  *exec.Cmd
	dead bool
}

// start starts a process, and sends its lines to all until it is dead. start
// leaves out an incomplete last line.
func start(t *testing.T, url, role string, all chan<- said) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), urlVariable+"="+url, roleVariable+"="+role)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer func() { all <- said{what: "end"} }()
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				_, _ = io.Copy(io.Discard, out)
				return
			}
			var s said
			if _, err := fmt.Sscan(line, &s.what, &s.id, &s.n); err != nil {
				t.Errorf("the process said %q: %v", line, err)
			}
			all <- s
		}
	}()
	return &child{cmd: cmd}
}

func (c *child) kill() {
	if !c.dead {
		c.dead = true
		_ = c.cmd.Process.Kill() // an error means that the process has ended, and Wait says why
	}
}

// run writes, reseals, or does both until the process is killed. run prints a
// line for each write that it begins, for each acknowledged write, for each
// entry that it has resealed, and for each pass over all entries.
func run(ctx context.Context, url, what, active string) error {
	inner, err := store.Open(ctx, url)
	if err != nil {
		return err
	}
	s, err := store.Seal(ctx, inner, sealWith(active, oldKey, newKey))
	if err != nil {
		return err
	}
	errs := make(chan error)
	if what != "write" {
		resealer, err := store.Seal(ctx, inner, sealWith(newKey, oldKey, newKey))
		if err != nil {
			return err
		}
		go func() {
			for {
				if _, err := resealer.Over(resealing{inner}).Reseal(ctx); err != nil {
					errs <- err
					return
				}
				fmt.Println("passed - 0")
			}
		}()
	}
	if what != "reseal" {
		for w := range writers {
			go func() { errs <- writeForEver(ctx, s, w) }()
		}
	}
	return <-errs
}

// resealing is the inner store of a process that reseals.
type resealing struct{ store.Store }

func (s resealing) Put(ctx context.Context, e store.Entry) (uint64, error) {
	version, err := s.Store.Put(ctx, e)
	if err == nil {
		fmt.Printf("resealed %s 0\n", e.ID)
	}
	return version, err
}

func writeForEver(ctx context.Context, s store.Store, writer int) error {
	known := make(map[string]store.Entry)
	for {
		id := fmt.Sprintf("written-%d-%d", writer, rand.IntN(written))
		e, ok := known[id]
		var err error
		if !ok {
			e, err = s.Get(ctx, id)
		}
		if err == nil || errors.Is(err, store.ErrNotFound) {
			e, err = writeNext(ctx, s, id, e)
		}
		switch {
		case errors.Is(err, store.ErrConflict): // the entry was resealed
			delete(known, id)
		case err != nil:
			return err
		default:
			known[id] = e
		}
	}
}

// writeNext writes the number that follows the one in e.
func writeNext(ctx context.Context, s store.Store, id string, e store.Entry) (store.Entry, error) {
	var n int
	_, _ = fmt.Sscan(string(e.Body), &n)
	n++
	fmt.Printf("begin %s %d\n", id, n)
	e = store.Entry{ID: id, Version: e.Version, Body: fmt.Append(nil, n)}
	var err error
	if e.Version, err = s.Put(ctx, e); err == nil {
		fmt.Printf("wrote %s %d\n", id, n)
	}
	return e, err
}
