package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// TestPanicInCommit makes bbolt panic outside of the operations' own code. If
// bbolt has ended its transaction, the store continues. If bbolt has not ended
// it, bbolt's lock is lost, and all calls return an error instead of waiting
// for the lock.
func TestPanicInCommit(t *testing.T) {
	for name, c := range map[string]struct {
		update func(db *bbolt.DB, fn func(*bbolt.Tx) error) error
		goesOn bool
	}{
		"ended": {func(db *bbolt.DB, fn func(*bbolt.Tx) error) error {
			_ = db.Update(func(tx *bbolt.Tx) error { return errors.Join(fn(tx), errUnchanged) })
			panic("as bbolt does")
		}, true},
		"left open": {func(db *bbolt.DB, fn func(*bbolt.Tx) error) error {
			tx, err := db.Begin(true)
			must(t, err)
			_ = fn(tx)
			panic("as bbolt does")
		}, false},
		"not begun": {func(*bbolt.DB, func(*bbolt.Tx) error) error { panic("as bbolt does") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The file is not checked afterwards, because a disabled store
				// keeps the lock.
				s := open(t, filepath.Join(t.TempDir(), "latchkey.db"))
				put(t, s, store.Entry{ID: "there"})
				update, blocked := s.update, make(chan struct{})
				s.update = func(fn func(*bbolt.Tx) error) error {
					<-blocked
					s.update = update
					return c.update(s.db, fn)
				}
				var a answers
				a.put(t.Context(), s, store.Entry{ID: "meets"})
				synctest.Wait()
				a.put(t.Context(), s, store.Entry{ID: "waits"})
				synctest.Wait()
				close(blocked)
				a.wg.Wait()
				a.want(t, "meets", store.ErrCorrupt)
				if c.goesOn {
					a.want(t, "waits", nil)
					wantThere(t, s, "there", true)
				} else {
					a.want(t, "waits", store.ErrCorrupt)
					if _, err := s.Get(t.Context(), "there"); !errors.Is(err, store.ErrCorrupt) {
						t.Errorf("Get: expected ErrCorrupt, got %v", err)
					}
				}
				must(t, s.Close())
			})
		})
	}
}

// TestNoCallWaitsForALostLock makes a fault leave a lock held while a commit is
// running. The commit may then never end. Waiting calls return an error, and
// Close does not wait.
func TestNoCallWaitsForALostLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "stuck"})
		synctest.Wait()
		a.put(t.Context(), s, store.Entry{ID: "waits"})
		synctest.Wait()
		a.call("close", s.Close)
		synctest.Wait()
		a.wantNone(t, "close")
		s.setWrecked(store.ErrCorrupt)
		synctest.Wait()
		a.want(t, "waits", store.ErrCorrupt)
		a.wantNone(t, "stuck")
		a.want(t, "close", nil)
		g.open <- nil
		a.wg.Wait()
		_ = s.db.Close() // the file is already closed
	})
}

// TestCutShortBelow truncates the file of an open store. The process survives,
// later calls return, and Close returns.
func TestCutShortBelow(t *testing.T) {
	content, entries := sample(t)
	for _, left := range []int{0, os.Getpagesize(), 3 * os.Getpagesize(), len(content) / 3} {
		t.Run(strconv.Itoa(left), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cut.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s := openWith(t, path, Options{NoSyncForTests: true})
			if err := os.Truncate(path, int64(left)); err != nil {
				t.Fatal(err)
			}
			failed := false
			check := func(op string, err error) {
				if err == nil {
					return
				}
				failed = true
				if !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("%s: expected ErrCorrupt, got %v", op, err)
				}
			}
			for id, e := range entries {
				_, err := s.Get(t.Context(), id)
				check("Get", err)
				e.Body = []byte("new")
				_, err = s.Put(t.Context(), e)
				check("Put", err)
			}
			_, err := s.Claim(t.Context(), at(1000), at(2000), 100)
			check("Claim", err)
			for _, err := range s.List(t.Context()) {
				check("List", err)
			}
			check("Check", s.Check(t.Context()))
			if !failed {
				t.Error("expected an error, got none")
			}
		})
	}
}

// TestCutShortUnderLoad truncates the file under load. Calls that wait for one
// of bbolt's locks may wait forever; Close does not.
func TestCutShortUnderLoad(t *testing.T) {
	content, entries := sample(t)
	for range 5 {
		path := filepath.Join(t.TempDir(), "cut.db")
		must(t, os.WriteFile(path, content, 0o600))
		s, err := Open(t.Context(), path, Options{NoSyncForTests: true})
		must(t, err)
		failed := make(chan error, 100)
		for range 8 {
			go func() {
				for {
					for id, e := range entries {
						if _, err := s.Get(t.Context(), id); err != nil {
							failed <- err
							return
						}
						if _, err := s.Put(t.Context(), e); err != nil && !errors.Is(err, store.ErrConflict) {
							failed <- err
							return
						}
					}
				}
			}()
		}
		must(t, os.Truncate(path, 0))
		if err := <-failed; !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("expected ErrCorrupt, got %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
