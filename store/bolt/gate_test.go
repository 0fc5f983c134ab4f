package bolt

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// gate stands between a store and its database. The gate stops commits until
// the test opens the gate, and counts the commits. Everything happens in a
// synctest bubble, so Wait returns when every writer is queued or at the gate.
type gate struct {
	open    chan error // a value lets one commit pass; an error replaces it
	commits int        // number of commits that reached the disk
	begun   int        // number of commits that reached the gate
}

func gated(t *testing.T) (*Store, *gate) {
	s := open(t, newPath(t))
	g := &gate{open: make(chan error)}
	update := s.update
	s.update = func(fn func(*bbolt.Tx) error) error {
		g.begun++
		if err := <-g.open; err != nil {
			return update(func(tx *bbolt.Tx) error { return cmp.Or(fn(tx), err) })
		}
		err := update(fn)
		if err == nil {
			g.commits++
		}
		return err
	}
	return s, g
}

// answers collects the results of concurrent calls.
type answers struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs map[string]error
}

func (a *answers) put(ctx context.Context, s *Store, e store.Entry) {
	a.call(e.ID, func() error {
		_, err := s.Put(ctx, e)
		return err
	})
}

func (a *answers) call(name string, fn func() error) {
	a.wg.Go(func() {
		err := fn()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.errs == nil {
			a.errs = make(map[string]error)
		}
		a.errs[name] = err
	})
}

// of returns the result of a call, and whether it has one yet.
func (a *answers) of(name string) (error, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err, ok := a.errs[name]
	return err, ok
}

func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.errs)
}

func (a *answers) want(t *testing.T, name string, want error) {
	t.Helper()
	switch err, ok := a.of(name); {
	case !ok:
		t.Errorf("%s: expected an answer, and got none yet", name)
	case !errors.Is(err, want):
		t.Errorf("%s: expected %v, got %v", name, want, err)
	}
}

func (a *answers) wantNone(t *testing.T, name string) {
	t.Helper()
	if err, ok := a.of(name); ok {
		t.Errorf("%s: expected no answer yet, got %v", name, err)
	}
}

func wantThere(t *testing.T, s *Store, id string, there bool) {
	t.Helper()
	_, err := s.Get(t.Context(), id)
	if there && err != nil {
		t.Errorf("Get of %s: expected an entry, got %v", id, err)
	}
	if !there && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of %s: expected ErrNotFound, got %v", id, err)
	}
}
