package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/internal/wake"
	"go.etcd.io/bbolt"
)

const backend = "bolt"

// ErrLocked means that another process, or another Store of this process, had the
// file open during all of Options.LockTimeout.
var ErrLocked = errors.New("store: the file is locked by another store")

// ErrFormat means that a newer release has written the file, in a format that
// this release does not know. The file is left unchanged.
var ErrFormat = errors.New("store: file format of a newer release")

var (
	_ store.Store    = (*Store)(nil)
	_ store.Pager    = (*Store)(nil)
	_ store.Counter  = (*Store)(nil)
	_ store.Notifier = (*Store)(nil)
)

// Store is a store.Store in one file. [Open] returns one. Any number of goroutines
// may call its methods.
type Store struct {
	path string
	db   *bbolt.DB
	file *os.File // the database's own file, used to check pages
	bell wake.Bell

	// update is db.Update; tests replace the function.
	update func(func(*bbolt.Tx) error) error

	shut sync.Once
	idle chan struct{} // closed when Close no longer needs to wait

	mu      sync.Mutex // guards the fields below, and is never held across a call of the database
	closed  bool
	calls   int          // running calls
	leading bool         // a call commits, or was chosen to commit
	queue   []*operation // waiting writes; empty unless leading
	wreck   error        // set when a fault left the database's own locks held
}

// Get implements [store.Store]. Get does not wait for writes.
func (s *Store) Get(ctx context.Context, id string) (store.Entry, error) {
	e, err := s.get(ctx, id)
	return e, store.Wrap("get", backend, id, err)
}

func (s *Store) get(ctx context.Context, id string) (e store.Entry, err error) {
	if err := store.CheckID(id); err != nil {
		return store.Entry{}, err
	}
	err = s.view(ctx, func(t *txn) error {
		r, err := t.get(id)
		if err != nil {
			return err
		}
		if !r.found {
			return store.ErrNotFound
		}
		// The bytes of a transaction are bytes of the file, and later writes
		// change them.
		r.body = bytes.Clone(r.body)
		e = r.entry(id)
		return nil
	})
	return e, err
}

// Put implements [store.Store]. When Put returns nil, the entry is on the disk.
// Concurrent calls share one sync.
//
// If ctx ends while the write waits for its turn, Put writes nothing and returns the
// context's error. If the write has begun, Put waits for its outcome.
func (s *Store) Put(ctx context.Context, e store.Entry) (uint64, error) {
	version, err := s.put(ctx, e)
	if err == nil {
		s.bell.Due(e.Due)
	}
	return version, store.Wrap("put", backend, e.ID, err)
}

func (s *Store) put(ctx context.Context, e store.Entry) (version uint64, err error) {
	if err := e.Check(); err != nil {
		return 0, err
	}
	due := int64(never)
	if !e.Due.IsZero() {
		due = e.Due.UnixMilli()
	}
	// The checksum of the body is computed here, where writers do not wait for
	// each other.
	v := newValue(e.ID, e.Body)
	err = s.write(ctx, len(v.bytes), func(t *txn) error {
		old, err := t.get(e.ID)
		switch {
		case err != nil:
			return err
		case e.Version == 0 && old.found:
			return store.ErrExists
		case old.version != e.Version:
			return store.ErrConflict
		}
		if version, err = t.put(e.ID, old.due, due, v); err == nil && !old.found {
			err = t.counted(1)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// Delete implements [store.Store]. Delete handles contexts as Put does.
func (s *Store) Delete(ctx context.Context, id string, version uint64) error {
	return store.Wrap("delete", backend, id, s.delete(ctx, id, version))
}

func (s *Store) delete(ctx context.Context, id string, version uint64) error {
	if err := store.CheckID(id); err != nil {
		return err
	}
	return s.write(ctx, 0, func(t *txn) error {
		old, err := t.get(id)
		switch {
		case err != nil:
			return err
		case !old.found:
			return nil
		case old.version != version:
			return store.ErrConflict
		}
		if err := t.delete(id, old.due); err != nil {
			return err
		}
		return t.counted(-1)
	})
}

// Close waits for the calls in progress, closes the file and releases its lock.
// Later calls get [store.ErrClosed]. A second Close returns nil.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.letClose()
	s.mu.Unlock()
	s.bell.Close()
	<-s.idle
	var err error
	s.shut.Do(func() { err = s.close() })
	return store.Wrap("close", backend, "", err)
}

func (s *Store) close() error {
	if s.wrecked() != nil {
		// bbolt would wait forever for the lock that the fault left held. The
		// process keeps its handles of the file until it ends.
		return s.file.Close()
	}
	if err, escaped := guard(s.path, s.db.Close); escaped || err != nil {
		return fmt.Errorf("closing %s: %w", s.path, err)
	}
	return nil
}

// enter counts a call as in progress, until leave. The caller of enter holds
// s.mu.
func (s *Store) enter(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.calls++
	return nil
}

func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls--
	s.letClose()
}

// letClose lets Close continue if no call is in progress. The caller of
// letClose holds s.mu.
func (s *Store) letClose() {
	if s.wreck == nil && (!s.closed || s.calls > 0) {
		return
	}
	select {
	case <-s.idle: // Close may already have closed it
	default:
		close(s.idle)
	}
}

// usable returns the reason why a call cannot begin. The caller of usable holds
// s.mu.
func (s *Store) usable(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.closed:
		return store.ErrClosed
	}
	return s.wreck
}

func (s *Store) ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usable(ctx)
}

func (s *Store) wrecked() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wreck
}

// setWrecked disables the database. A lock of the database is held forever, so
// calls that need it would hang. setWrecked wakes the calls that wait in this
// package.
func (s *Store) setWrecked(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wreck != nil {
		return
	}
	s.wreck = fmt.Errorf("%w; this store cannot continue: close it and open an undamaged file", err)
	s.queue = slices.DeleteFunc(s.queue, func(op *operation) bool {
		if op.elected {
			return false // the call is about to lead, and checks the wreck itself
		}
		op.err = s.wreck
		op.wake <- false
		return true
	})
}

// view runs fn in a read transaction. fn must be short and must not call other
// code. A write that makes the file outgrow its memory map waits for fn, and
// every read waits for that write.
func (s *Store) view(ctx context.Context, fn func(*txn) error) error {
	return s.raw(ctx, func(tx *bbolt.Tx) error {
		t, err := newTxn(s.path, tx)
		if err != nil {
			return err
		}
		return fn(t)
	})
}

func (s *Store) raw(ctx context.Context, fn func(*bbolt.Tx) error) error {
	s.mu.Lock()
	err := s.enter(ctx)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer s.leave()
	err, escaped := guard(s.path, func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			// The fault is recovered inside, so that bbolt ends its
			// transaction.
			err, _ := guard(s.path, func() error { return fn(tx) })
			return err
		})
	})
	if escaped {
		s.setWrecked(err)
	}
	return err
}
