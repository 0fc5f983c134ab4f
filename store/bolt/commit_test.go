package bolt

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/latchkey-go/latchkey/store"
)

func TestOneCommitForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "first"})
		synctest.Wait() // this caller leads, and is at the gate
		const waiting = 100
		for i := range waiting {
			a.put(t.Context(), s, store.Entry{ID: fmt.Sprintf("waits-%d", i)})
		}
		synctest.Wait()
		a.wantNone(t, "first")
		g.open <- nil
		synctest.Wait()
		a.want(t, "first", nil)
		a.wantNone(t, "waits-0")
		g.open <- nil
		synctest.Wait()
		for i := range waiting {
			a.want(t, fmt.Sprintf("waits-%d", i), nil)
		}
		if g.commits != 2 {
			t.Errorf("expected 2 commits, one for the first and one for the %d that waited, got %d", waiting, g.commits)
		}
	})
}

func TestBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "first"})
		synctest.Wait()
		for i := range maxBatch + 1 {
			a.put(t.Context(), s, store.Entry{ID: fmt.Sprintf("small-%d", i)})
		}
		synctest.Wait()
		for i := range 3 {
			a.put(t.Context(), s, store.Entry{ID: fmt.Sprintf("large-%d", i), Body: make([]byte, maxBatchBytes/2+1)})
		}
		synctest.Wait()
		g.open <- nil // the first
		synctest.Wait()
		g.open <- nil // a batch takes this number of operations
		synctest.Wait()
		if n := a.count(); n != 1+maxBatch {
			t.Errorf("expected %d answers after two commits, got %d", 1+maxBatch, n)
		}
		g.open <- nil // the last small operation, and two large ones
		synctest.Wait()
		if n := a.count(); n != 1+maxBatch+1+2 {
			t.Errorf("expected %d answers after three commits, got %d", 1+maxBatch+1+2, n)
		}
		g.open <- nil
		a.wg.Wait()
		if g.commits != 4 {
			t.Errorf("expected 4 commits, got %d", g.commits)
		}
	})
}

// TestAckFollowsCommit: no caller gets nil before the database has committed, and
// the database syncs when it commits.
func TestAckFollowsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		if s.db.NoSync {
			t.Error("expected a database that syncs, got one that doesn't")
		}
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "put", Due: at(0)})
		synctest.Wait()
		a.wantNone(t, "put")
		g.open <- nil
		a.wg.Wait()
		a.want(t, "put", nil)

		a.call("claim", func() error {
			_, err := s.Claim(t.Context(), at(0), at(1), 1)
			return err
		})
		synctest.Wait()
		a.wantNone(t, "claim")
		g.open <- nil
		a.wg.Wait()
		a.want(t, "claim", nil)

		a.call("delete", func() error { return s.Delete(t.Context(), "put", 2) })
		synctest.Wait()
		a.wantNone(t, "delete")
		g.open <- nil
		a.wg.Wait()
		a.want(t, "delete", nil)
	})
}

func TestErrorFailsOnlyItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "there"})
		synctest.Wait()
		g.open <- nil
		a.wg.Wait()

		a.put(t.Context(), s, store.Entry{ID: "first"})
		synctest.Wait()
		a.put(t.Context(), s, store.Entry{ID: "before"})
		synctest.Wait()
		a.call("exists", func() error {
			_, err := s.Put(t.Context(), store.Entry{ID: "there", Body: []byte("other"), Due: at(0)})
			return err
		})
		a.call("conflict", func() error { return s.Delete(t.Context(), "there", 99) })
		synctest.Wait()
		a.put(t.Context(), s, store.Entry{ID: "behind"})
		synctest.Wait()
		g.open <- nil
		synctest.Wait()
		g.open <- nil
		a.wg.Wait()
		a.want(t, "before", nil)
		a.want(t, "exists", store.ErrExists)
		a.want(t, "conflict", store.ErrConflict)
		a.want(t, "behind", nil)
		wantThere(t, s, "before", true)
		wantThere(t, s, "behind", true)
		if g.commits != 3 {
			t.Errorf("expected 3 commits, the last for all four, got %d", g.commits)
		}
		if claimed, err := s.Claim(t.Context(), at(0), at(1), 9); len(claimed) != 0 || err != nil {
			t.Errorf("Claim: expected nothing from the write that was refused, got %d entries, %v", len(claimed), err)
		}
	})
}

func TestFailedCommitFailsAllOfItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "there"})
		synctest.Wait()
		g.open <- nil
		a.wg.Wait()

		a.put(t.Context(), s, store.Entry{ID: "first"})
		synctest.Wait()
		// The result of this call depends only on what is on the disk.
		a.call("refused", func() error {
			_, err := s.Put(t.Context(), store.Entry{ID: "there"})
			return err
		})
		synctest.Wait()
		a.put(t.Context(), s, store.Entry{ID: "lost"})
		synctest.Wait()
		// The ErrExists of this call would depend on the lost write.
		a.call("rests", func() error {
			_, err := s.Put(t.Context(), store.Entry{ID: "lost"})
			return err
		})
		synctest.Wait()
		g.open <- nil
		synctest.Wait()
		full := errors.New("disk full")
		g.open <- full
		a.wg.Wait()
		a.want(t, "first", nil)
		a.want(t, "refused", store.ErrExists)
		a.want(t, "lost", full)
		a.want(t, "rests", full)
		wantThere(t, s, "lost", false)

		a.put(t.Context(), s, store.Entry{ID: "later"})
		synctest.Wait()
		g.open <- nil
		a.wg.Wait()
		a.want(t, "later", nil)
	})
}

func TestContextThatEndsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "first"})
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		a.put(ctx, s, store.Entry{ID: "gives-up"})
		a.put(t.Context(), s, store.Entry{ID: "stays"})
		synctest.Wait()
		cancel(errors.New("a cause"))
		synctest.Wait()
		a.want(t, "gives-up", context.Canceled) // the call returns at once, while the first one still commits
		g.open <- nil
		synctest.Wait()
		g.open <- nil
		a.wg.Wait()
		a.want(t, "stays", nil)
		wantThere(t, s, "gives-up", false)
	})
}

func TestContextThatEndsInTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "first"})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		a.put(t.Context(), s, store.Entry{ID: "leads"})
		synctest.Wait()
		a.put(ctx, s, store.Entry{ID: "written"})
		synctest.Wait()
		g.open <- nil
		synctest.Wait() // the second commit is at the gate
		cancel()
		synctest.Wait()
		a.wantNone(t, "written")
		g.open <- nil
		a.wg.Wait()
		a.want(t, "written", nil)
		wantThere(t, s, "written", true)
	})
}

// TestContextOfTheElected ends the context of a caller that was chosen to lead.
// The caller must lead nevertheless; otherwise no later write would commit.
func TestContextOfTheElected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newPath(t))
		s.mu.Lock()
		s.leading = true // no call can lead until another caller commits
		s.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		var a answers
		a.put(ctx, s, store.Entry{ID: "elected"})
		synctest.Wait()
		a.put(t.Context(), s, store.Entry{ID: "behind"})
		synctest.Wait()
		s.mu.Lock()
		cancel() // the caller gives up, and is chosen to lead before it has left the queue
		s.queue[0].elected = true
		s.queue[0].wake <- true
		s.mu.Unlock()
		a.wg.Wait()
		a.want(t, "elected", context.Canceled)
		a.want(t, "behind", nil)
		wantThere(t, s, "elected", false)
	})
}

// TestFaultFailsOneOperation: a batch has several operations that write. One of
// them then finds damage and fails, and the others succeed.
func TestFaultFailsOneOperation(t *testing.T) {
	for name, fault := range map[string]func() error{
		"panic": func() error { panic("as bbolt does") },
		"error": func() error { return store.ErrCorrupt },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, g := gated(t)
				var a answers
				a.put(t.Context(), s, store.Entry{ID: "first"})
				synctest.Wait()
				a.put(t.Context(), s, store.Entry{ID: "before"})
				synctest.Wait()
				a.call("fault", func() error {
					return s.write(t.Context(), 0, func(t *txn) error {
						if _, err := t.put("half-done", never, never, newValue("half-done", nil)); err != nil {
							return err
						}
						return fault()
					})
				})
				synctest.Wait()
				a.put(t.Context(), s, store.Entry{ID: "behind"})
				synctest.Wait()
				for range 2 + 3 { // commits: the first operation, all three together, and each one alone
					g.open <- nil
					synctest.Wait()
				}
				a.wg.Wait()
				a.want(t, "before", nil)
				a.want(t, "fault", store.ErrCorrupt)
				a.want(t, "behind", nil)
				wantThere(t, s, "before", true)
				wantThere(t, s, "half-done", false)
				wantThere(t, s, "behind", true)
			})
		})
	}
}

func TestCloseWaitsForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "first"})
		synctest.Wait()
		a.put(t.Context(), s, store.Entry{ID: "queued"})
		synctest.Wait()
		a.call("close", s.Close)
		synctest.Wait()
		a.wantNone(t, "close")
		a.put(t.Context(), s, store.Entry{ID: "late"})
		synctest.Wait()
		a.want(t, "late", store.ErrClosed)
		g.open <- nil
		synctest.Wait()
		g.open <- nil
		a.wg.Wait()
		a.want(t, "queued", nil)
		a.want(t, "close", nil)
	})
}

// TestEmptyClaim: a claim that finds nothing neither commits nor waits for a
// running commit. A claim that finds only damage does not commit.
func TestEmptyClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := gated(t)
		var a answers
		a.put(t.Context(), s, store.Entry{ID: "later", Due: at(1)})
		synctest.Wait() // at the gate
		claimed, err := s.Claim(t.Context(), at(0), at(10), 5)
		if len(claimed) != 0 || err != nil {
			t.Errorf("Claim: expected nothing, got %d entries, %v", len(claimed), err)
		}
		g.open <- nil
		a.wg.Wait()
		if claimed, err := s.Claim(t.Context(), at(0), at(10), 5); len(claimed) != 0 || err != nil {
			t.Errorf("Claim of what is due later: expected nothing, got %d entries, %v", len(claimed), err)
		}
		if g.begun != 1 {
			t.Errorf("expected 1 transaction, the Put's, got %d", g.begun)
		}
		damage(t, s, "later")
		a.call("damaged", func() error {
			claimed, err := s.Claim(t.Context(), at(1), at(10), 5)
			if len(claimed) != 0 {
				t.Errorf("Claim of a damaged entry: expected nothing, got %d entries", len(claimed))
			}
			return err
		})
		synctest.Wait()
		g.open <- nil
		a.wg.Wait()
		a.want(t, "damaged", nil)
		if g.commits != 1 {
			t.Errorf("expected 1 commit, the Put's, got %d", g.commits)
		}
	})
}
