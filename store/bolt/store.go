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

// ErrLocked means that another process, or another Store of this one, has the
// file open and kept it for the whole of Options.LockTimeout.
var ErrLocked = errors.New("store: the file is locked by another store")

// ErrFormat means that the file was written by a newer release, in a format
// that this one doesn't know. The file is as it was.
var ErrFormat = errors.New("store: file format of a newer release")

var (
	_ store.Store    = (*Store)(nil)
	_ store.Pager    = (*Store)(nil)
	_ store.Counter  = (*Store)(nil)
	_ store.Notifier = (*Store)(nil)
)

// Store keeps entries in one file. Its methods may be called by any number of
// goroutines. Get one from [Open].
type Store struct {
	path string
	db   *bbolt.DB
	file *os.File // the database's own, to check pages with
	bell wake.Bell

	// update is db.Update; tests put themselves between.
	update func(func(*bbolt.Tx) error) error

	shut sync.Once
	idle chan struct{} // closed when Close has nothing to wait for, or can't

	mu      sync.Mutex // guards what follows, and is never held across a call of the database
	closed  bool
	calls   int          // under way
	leading bool         // somebody commits, or was told to
	queue   []*operation // writes that wait; empty unless leading
	wreck   error        // set when a fault left the database's own locks behind
}

// Get returns the entry with this ID, or [store.ErrNotFound]. It waits for no
// write.
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
		// What a transaction shows is the file itself, and changes under
		// whoever looks at it later.
		r.body = bytes.Clone(r.body)
		e = r.entry(id)
		return nil
	})
	return e, err
}

// Put inserts or replaces an entry, as [store.Store] says. When it returns nil
// the entry is on the disk. It shares the disk's work with the other writes
// that wait at the same time.
//
// When ctx ends while the write still waits its turn, nothing is written, and
// the error is the context's. When the write is being made by then, Put awaits
// what becomes of it.
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
	// The body's part of the work is done here, where writers don't wait for
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

// Delete removes the entry at that version, as [store.Store] says. What it
// says of contexts is what Put does.
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

// Close waits for the calls under way, closes the file and gives up its lock.
// Later calls get [store.ErrClosed]; a second Close returns nil.
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
		// bbolt would wait for ever for the lock that the fault left behind.
		// What the process still holds of the file ends with the process.
		return s.file.Close()
	}
	if err, escaped := guard(s.path, s.db.Close); escaped || err != nil {
		return fmt.Errorf("closing %s: %w", s.path, err)
	}
	return nil
}

// enter counts a call as under way, until leave. Whoever holds s.mu calls it.
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

// letClose lets Close go on, if it can. Whoever holds s.mu calls it.
func (s *Store) letClose() {
	if s.wreck == nil && (!s.closed || s.calls > 0) {
		return
	}
	select {
	case <-s.idle: // it may already
	default:
		close(s.idle)
	}
}

// usable returns why a call can't begin. Whoever holds s.mu calls it.
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

// setWrecked gives up on the database: a lock of its own is taken for ever, and
// whoever needs it waits as long. Those that wait here are told.
func (s *Store) setWrecked(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wreck != nil {
		return
	}
	s.wreck = fmt.Errorf("%w; this store can't go on: close it, and open a sound file", err)
	s.queue = slices.DeleteFunc(s.queue, func(op *operation) bool {
		if op.elected {
			return false // it is about to lead, and will see for itself
		}
		op.err = s.wreck
		op.wake <- false
		return true
	})
}

// view runs fn in a read transaction. It must be short, and must not call
// anybody else's code: a write that makes the file outgrow its mapping waits
// for it, and every read behind that write.
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
			// Recovered inside, so that bbolt ends its transaction.
			err, _ := guard(s.path, func() error { return fn(tx) })
			return err
		})
	})
	if escaped {
		s.setWrecked(err)
	}
	return err
}
